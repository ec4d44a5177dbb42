import type { Duplex } from 'node:stream'
import { PeerRefused, StoreFull, isNetcowError } from '../errors.ts'
import { Allowance, type Bounds, type Client } from './allowance.ts'
import { MOST_PAYLOAD_BYTES, type Session } from './export.ts'
import { Command, ErrorValue } from './protocol.ts'
import { LendingSocket } from './lending-socket.ts'
import { Outbox, roomBytes } from './outbox.ts'
import { type Replies, repliesOf } from './replies.ts'
import { RequestParser } from './request-parser.ts'
import { type Request, errorOf, payloadBytes } from './request.ts'
import { Refusal, Service } from './service.ts'

export interface TransmissionOptions {
  /** A request waits while it would be more than this. */
  readonly bounds: Bounds
  /** Told of an error that is not the client's doing. */
  readonly report: (error: unknown) => void
  /** Takes no more requests once it is aborted; what is under way is answered. */
  readonly signal?: AbortSignal
  /**
   * Whether what only reads is left to itself when the connection is closed: a client that comes
   * again would otherwise wait for reads that nobody waits for. What changes something is not,
   * because it would be done after what that client asks for next.
   */
  readonly leavesReads?: boolean
}

/** What a request is told that makes no sense, where replies have room for words. */
const REASONS: ReadonlyMap<ErrorValue, string> = new Map([
  [ErrorValue.perm, 'the export is read-only'],
  [ErrorValue.invalid, 'the request makes no sense'],
  [ErrorValue.noSpace, 'beyond the end of the export'],
  [ErrorValue.overflow, 'more than is read at once'],
  [ErrorValue.notSupported, 'not faster than writing'],
])

/** What may be left undone without anybody noticing. */
const READS: ReadonlySet<number> = new Set([Command.read, Command.cache, Command.blockStatus])

/** How a client left: it said so, or its connection ended. */
export type Parting = 'said' | 'vanished'

/**
 * Serves requests on a connection until the client disconnects or vanishes, each as soon as it is
 * there and answered as soon as it is done. Resolves when nothing is under way any more that is
 * waited for; rejects with `PeerRefused` when the client breaks the protocol.
 */
export function transmit(
  stream: Duplex,
  session: Session,
  options: TransmissionOptions,
): Promise<Parting> {
  return new Transmission(stream, session, options).finished
}

class Transmission {
  readonly #stream: Duplex
  readonly #session: Session
  readonly #options: TransmissionOptions
  readonly #extended: boolean
  readonly #parser: RequestParser
  readonly #replies: Replies
  readonly #outbox: Outbox
  readonly #service: Service
  readonly #allowance: Allowance
  readonly #done = Promise.withResolvers<Parting>()
  #parting: Parting = 'vanished'
  /** The request whose turn it is: its payload is coming, or it waits for room. */
  #next: Request | undefined
  #nextError: ErrorValue = ErrorValue.none
  #nextPayloadBytes = 0
  #nextAdmitted = false
  /** Counts the payloads that were waited for. */
  #payloads = 0
  /** Reads under way. */
  #reads = 0
  /** Replies that the stream has kept since it was last drained. */
  #untaken = 0
  /** Whether a payload of the chunk that was last read is still under way. */
  #isKept = false
  #failure: unknown
  #working = false
  #stalled = false
  #inputOver = false
  #ending = false

  constructor(stream: Duplex, session: Session, options: TransmissionOptions) {
    this.#stream = stream
    this.#session = session
    this.#options = options
    this.#extended = session.headers === 'extended'
    this.#parser = new RequestParser(this.#extended)
    this.#replies = repliesOf(session.headers)
    this.#outbox = new Outbox(stream, () => this.#freed())
    this.#allowance = new Allowance(this.#client(), options.bounds)
    this.#service = new Service(session, this.#replies, this.#outbox, () => stream.destroyed)
    stream.on('drain', () => {
      this.#untaken = 0
      this.#work()
    })
    stream.on('end', () => {
      this.#inputOver = true
      this.#work()
    })
    stream.on('error', () => this.#end())
    stream.on('close', () => this.#end())
    const { signal } = options
    const stop = () => this.#end()
    signal?.addEventListener('abort', stop)
    const forget = () => signal?.removeEventListener('abort', stop)
    this.#done.promise.then(forget, forget)
    if (signal?.aborted || stream.destroyed) stop()
    if (stream instanceof LendingSocket)
      stream.consume((buffer, length) => this.#take(buffer, length))
    else stream.on('data', (chunk: Buffer) => void this.#take(chunk, chunk.length))
    stream.resume()
  }

  get finished(): Promise<Parting> {
    return this.#done.promise
  }

  /** Returns whether anybody still looks at the bytes. */
  #take(buffer: Uint8Array, length: number): boolean {
    if (this.#ending) return false
    this.#parser.push(buffer, length)
    this.#isKept = false
    this.#outbox.gather(this.#workOn)
    return this.#isKept || !this.#parser.letGo(buffer)
  }

  readonly #workOn = (): void => this.#work()

  /** Takes as many requests as are there and find room. */
  #work(): void {
    if (this.#working || this.#ending) return
    this.#working = true
    this.#stalled = false
    try {
      while (!this.#ending && this.#step());
    } catch (error) {
      if (error instanceof PeerRefused) this.#failure = error
      else this.#options.report(error)
      this.#end()
    }
    this.#working = false
    if (this.#stalled) this.#stream.pause()
    else if (this.#inputOver) this.#end()
    else if (this.#stream.isPaused()) this.#stream.resume()
  }

  /** Brings the next request a step forward; false when it has to wait. */
  #step(): boolean {
    const request = (this.#next ??= this.#nextRequest())
    if (request === undefined) return false
    if (!this.#nextAdmitted && !this.#admit(request)) {
      this.#stalled = true
      return false
    }
    const payloadLeft = this.#nextPayloadBytes
    if (payloadLeft > 0) {
      if (this.#nextError === ErrorValue.none) {
        const payload = this.#parser.payload(payloadLeft)
        if (payload === undefined) return false
        request.payload = payload
      } else {
        this.#nextPayloadBytes -= this.#parser.skip(payloadLeft)
        if (this.#nextPayloadBytes > 0) return false
      }
    }
    this.#next = undefined
    this.#nextAdmitted = false
    this.#perform(request, this.#nextError)
    return true
  }

  #nextRequest(): Request | undefined {
    const request = this.#parser.request()
    if (request === undefined) return undefined
    if (request.type === Command.disconnect) {
      this.#parting = 'said'
      this.#end()
      return undefined
    }
    this.#nextError = errorOf(request, this.#session)
    this.#nextPayloadBytes = payloadBytes(request, this.#extended)
    if (this.#extended && this.#nextPayloadBytes > MOST_PAYLOAD_BYTES) {
      throw new PeerRefused('the client announces more than it may send', {
        where: { length: this.#nextPayloadBytes },
      })
    }
    return request
  }

  #admit(request: Request): boolean {
    // What the stream takes without asking to wait will never be drained.
    if (!this.#stream.writableNeedDrain) this.#untaken = 0
    const isRead = request.type === Command.read && this.#nextError === ErrorValue.none
    const reply = isRead ? roomBytes(this.#replies.readHead + request.length) : 0
    const kept = this.#kept(request, this.#nextError)
    if (!this.#allowance.admit(kept, reply, this.#untaken)) return false
    this.#nextAdmitted = true
    if (this.#nextPayloadBytes > 0) this.#payloads++
    return true
  }

  #kept(request: Request, error: ErrorValue): number {
    return error === ErrorValue.none ? this.#service.kept(request) : 0
  }

  #freed(): void {
    this.#allowance.settle()
    if (this.#stalled) this.#work()
  }

  #client(): Client {
    return {
      replyBytes: () => this.#outbox.held,
      replyBytesSent: () => this.#outbox.sent,
      replyBytesTaken: () => this.#outbox.taken,
      bytesReceived: () => this.#parser.received,
      payload: () => (this.#nextAdmitted ? this.#payloads : undefined),
      proceed: () => this.#work(),
      hangUp: () => this.#stream.destroy(),
    }
  }

  #perform(request: Request, error: ErrorValue): void {
    if (error !== ErrorValue.none) {
      this.#outbox.send(this.#replies.failed(request, error, REASONS.get(error) ?? ''))
      this.#answered(request, error)
      return
    }
    if (READS.has(request.type)) this.#reads++
    try {
      const done = this.#service.perform(request)
      if (done === undefined) this.#answered(request, error)
      else {
        if (request.payload.length > 0) this.#isKept = true
        done.then(
          () => this.#answered(request, error),
          (failure: unknown) => this.#failed(request, failure),
        )
      }
    } catch (failure) {
      this.#failed(request, failure)
    }
  }

  #failed(request: Request, failure: unknown): void {
    const reply = this.#failureReply(request, failure)
    if (this.#outbox.isTorn) this.#stream.destroy()
    this.#outbox.send(reply)
    this.#answered(request, ErrorValue.none)
  }

  #failureReply(request: Request, failure: unknown): Buffer {
    const fail = (value: ErrorValue, text: string) => this.#replies.failed(request, value, text)
    if (failure instanceof Refusal) return fail(failure.value, REASONS.get(failure.value) ?? '')
    if (failure instanceof StoreFull) return fail(ErrorValue.noSpace, failure.message)
    // Who is gone is not told, and what its going broke off is no news.
    if (!this.#stream.destroyed) this.#options.report(failure)
    return fail(ErrorValue.io, isNetcowError(failure) ? failure.message : 'a bug of the server')
  }

  #answered(request: Request, error: ErrorValue): void {
    if (error === ErrorValue.none && READS.has(request.type)) this.#reads--
    this.#untaken++
    this.#allowance.answered(this.#kept(request, error))
    if (this.#stalled) this.#work()
    if (this.#ending) this.#end()
  }

  /** Takes no more; over when what is under way has been answered. */
  #end(): void {
    this.#ending = true
    this.#allowance.end()
    if (this.#nextAdmitted && this.#next !== undefined) {
      // Its payload will not come any more.
      this.#nextAdmitted = false
      this.#allowance.answered(this.#kept(this.#next, this.#nextError))
    }
    const left = this.#options.leavesReads === true && this.#stream.destroyed ? this.#reads : 0
    if (this.#allowance.requests > left) return
    this.#outbox.flush()
    if (this.#failure === undefined) this.#done.resolve(this.#parting)
    else this.#done.reject(this.#failure)
  }
}
