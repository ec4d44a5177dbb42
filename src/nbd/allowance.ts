import { Budget, type Holder } from './budget.ts'

/** What one client may have under way. */
export interface Bounds {
  /** Requests, and replies that it has not taken yet. */
  readonly mostRequests: number
  /** Payloads and replies, in bytes; a larger request waits until it is alone. */
  readonly mostBytes: number
  /** What it shares with the other clients. */
  readonly budget: Budget
}

/** For the kernel, which bounds its own queue and, in older versions, handles a partial send badly. */
export const UNBOUNDED: Bounds = {
  mostRequests: Infinity,
  mostBytes: Infinity,
  budget: new Budget({ ownBytes: Infinity, commonBytes: 0, patienceMs: Infinity }),
}

/** What an allowance has to know of the client that it is for. */
export interface Client {
  /** Bytes of replies that are being made or have not been taken. */
  replyBytes(): number
  /** Bytes of replies that were sent, and taken, since the beginning. */
  replyBytesSent(): number
  replyBytesTaken(): number
  /** Bytes that came from it since the beginning. */
  bytesReceived(): number
  /** Counts the payloads that began to come; undefined when none is missing. */
  payload(): number | undefined
  /** Takes on the requests that had to wait. */
  proceed(): void
  hangUp(): void
}

interface Due {
  readonly sent: number
  readonly taken: number
  readonly payload: number | undefined
  readonly received: number
}

/** A client that others wait for is served on, however much is left, while it moves so much in the time. */
const LEAST_PROGRESS_BYTES = 2 ** 20

/**
 * Says whether a client may have one more request under way. Replies are counted by the outbox that
 * makes them, from the moment it finds room for them until they are taken; all else here.
 */
export class Allowance implements Holder {
  readonly #client: Client
  readonly #bounds: Bounds
  #requests = 0
  #bytes = 0
  /** What was to be done by the client when that was last looked at, and how far it was. */
  #due: Due = { sent: 0, taken: 0, payload: undefined, received: 0 }
  #isSharing = false

  constructor(client: Client, bounds: Bounds) {
    this.#client = client
    this.#bounds = bounds
  }

  get requests(): number {
    return this.#requests
  }

  /**
   * Takes a request on, if it may begin: it needs `kept` bytes until it is answered and `reply`
   * bytes of the outbox. Otherwise the client is told to proceed when that may have changed.
   */
  admit(kept: number, reply: number, untaken: number): boolean {
    const { mostRequests, mostBytes, budget } = this.#bounds
    const held = this.#bytes + this.#client.replyBytes()
    const bytes = held + kept + reply
    if (this.#requests + untaken >= mostRequests || (held > 0 && bytes > mostBytes)) {
      if (this.#isSharing) budget.withdraw(this)
      return false
    }
    if (bytes > budget.ownBytes || this.#isSharing) {
      this.#isSharing = true
      if (!budget.take(this, Math.max(0, bytes - budget.ownBytes))) return false
    }
    this.#requests++
    this.#bytes += kept
    return true
  }

  /** A request is answered, or will never be. */
  answered(kept: number): void {
    this.#requests--
    this.#bytes -= kept
    this.settle()
  }

  /** Gives back what is not needed any longer. */
  settle(): void {
    if (!this.#isSharing) return
    const { budget } = this.#bounds
    const held = this.#bytes + this.#client.replyBytes()
    budget.release(this, Math.max(0, held - budget.ownBytes))
  }

  /** There will be no more requests. */
  end(): void {
    if (this.#isSharing) this.#bounds.budget.withdraw(this)
  }

  retry(): void {
    this.#client.proceed()
  }

  isStuck(): boolean {
    const before = this.#due
    const now = {
      sent: this.#client.replyBytesSent(),
      taken: this.#client.replyBytesTaken(),
      payload: this.#client.payload(),
      received: this.#client.bytesReceived(),
    }
    this.#due = now
    const isMissing = before.payload !== undefined && before.payload === now.payload
    const isUntaken = now.taken < before.sent
    return (
      (isMissing && now.received - before.received < LEAST_PROGRESS_BYTES) ||
      (isUntaken && now.taken - before.taken < LEAST_PROGRESS_BYTES)
    )
  }

  dismiss(): void {
    this.#client.hangUp()
  }
}
