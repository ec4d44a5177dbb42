import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { PeerRefused } from '../errors.ts'
import { Budget } from './budget.ts'
import { type Offer, negotiate } from './handshake.ts'
import { LendingSocket, type SocketCalls } from './lending-socket.ts'
import { transmit } from './transmission.ts'

/** A client that does not finish its handshake in this time is dropped (CVE-2024-7409). */
const NEGOTIATION_MS = 10_000
const MOST_CONNECTIONS = 100
/** A client that asks for nothing is asked whether it is there after this; a network may be away as long. */
const KEEP_ALIVE_MS = 300_000
/** What is under way when the server is told to end has this long to be answered and taken. */
const FAREWELL_MS = 10_000
/** What has been answered has this long to be taken by a client that asks for nothing more. */
const LINGER_MS = 60_000
/** A client that has got everything has this long to close its side. */
const PARTING_MS = 1000
const MIB = 1024 * 1024
/** What one client may have under way; a single larger request has to be alone. */
const CLIENT_BOUNDS = { mostRequests: 256, mostBytes: 32 * MIB } as const
/** What all clients may have under way, whatever they do. */
const MEMORY_BYTES = 256 * MIB
/** What is each client's own of that: 24 requests of 64 KiB, or one of a megabyte. */
const OWN_BYTES = 1.5 * MIB
/** A client that holds what others wait for has to complete a payload, or take a reply, in this time. */
const PATIENCE_MS = 10_000

export interface ServerOptions {
  /** Told of what goes wrong and is not the client's doing. */
  readonly report: (error: unknown) => void
  /** A handshake has this long; 10 seconds unless said. */
  readonly negotiationMs?: number
  /** What is under way has this long to end once the server ends; 10 seconds unless said. */
  readonly farewellMs?: number
  /** A client that stops while it holds memory that others wait for has this long; 10 seconds unless said. */
  readonly patienceMs?: number
  /** The short ways, where there are some. */
  readonly calls?: SocketCalls
}

/** What the clients of one server share. */
function budgetOf({ patienceMs = PATIENCE_MS }: ServerOptions): Budget {
  const commonBytes = MEMORY_BYTES - MOST_CONNECTIONS * OWN_BYTES
  return new Budget({ ownBytes: OWN_BYTES, commonBytes, patienceMs })
}

/** Serves one export to any number of clients that connect to `server`. */
export class NbdServer {
  readonly #server: Server
  readonly #offer: Offer
  readonly #options: ServerOptions
  readonly #budget: Budget
  readonly #connections = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(server: Server, offer: Offer, options: ServerOptions) {
    this.#server = server
    this.#offer = offer
    this.#options = options
    this.#budget = budgetOf(options)
    server.on('connection', (socket) => this.#accept(socket))
  }

  /** Accepts no more clients, answers what they asked so far, then lets go. */
  async close(): Promise<void> {
    this.#server.close()
    this.#closing.abort()
    await Promise.all(this.#connections)
  }

  #accept(accepted: Socket): void {
    // Not those of the socket layer: requests of clients that are gone count, too.
    if (this.#connections.size >= MOST_CONNECTIONS) {
      accepted.on('error', () => {}).destroy()
      return
    }
    const socket = LendingSocket.inPlaceOf(accepted, this.#options.calls)
    socket.setNoDelay(true)
    const over = serveConnection(socket, this.#offer, {
      ...this.#options,
      budget: this.#budget,
      signal: this.#closing.signal,
    }).finally(() => this.#connections.delete(over))
    this.#connections.add(over)
  }
}

/**
 * Serves the one client on `socket` until it leaves or `signal` ends it. Never rejects. The socket
 * has to allow half-open connections: a client may close its side and wait for its answers.
 */
export async function serveConnection(
  socket: Socket,
  offer: Offer,
  options: ServerOptions & { readonly signal: AbortSignal; readonly budget?: Budget },
): Promise<void> {
  const { signal, report, budget = budgetOf(options) } = options
  // Without a listener an error on the socket would end the process; 'close' follows it.
  socket.on('error', () => {})
  // A machine that is switched off says nothing, and would keep its place for ever.
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  using deadlines = new Deadlines(socket, options)
  try {
    const agreement = await negotiate(socket, offer)
    deadlines.negotiated()
    const { stream = socket } = agreement ?? {}
    if (agreement !== undefined) {
      const bounds = { ...CLIENT_BOUNDS, budget }
      await deadlines.orFarewell(transmit(stream, agreement.session, { bounds, report, signal }))
    }
    await deadlines.takeLeave(stream)
  } catch (error) {
    if (!(error instanceof PeerRefused)) report(error)
  } finally {
    socket.destroy()
  }
}

/** How long a client may take for what. */
class Deadlines implements Disposable {
  readonly #socket: Socket
  readonly #signal: AbortSignal
  readonly #gone: Promise<void>
  readonly #farewell = Promise.withResolvers<void>()
  readonly #farewellMs: number
  #timer: NodeJS.Timeout
  #isNegotiating = true

  constructor(
    socket: Socket,
    {
      signal,
      farewellMs = FAREWELL_MS,
      negotiationMs = NEGOTIATION_MS,
    }: ServerOptions & { signal: AbortSignal },
  ) {
    this.#socket = socket
    this.#signal = signal
    this.#farewellMs = farewellMs
    this.#gone = new Promise((resolve) => void socket.once('close', () => resolve()))
    this.#timer = setTimeout(() => socket.destroy(), negotiationMs)
    signal.addEventListener('abort', this.#stop)
    if (signal.aborted) this.#stop()
  }

  /** From now on the client is only hurried when the server ends. */
  negotiated(): void {
    this.#isNegotiating = false
    clearTimeout(this.#timer)
    if (this.#signal.aborted) this.#stop()
  }

  /** Waits for what is under way, but not longer than a server that ends has time. */
  async orFarewell(work: Promise<unknown>): Promise<void> {
    await Promise.race([work, this.#farewell.promise])
  }

  /** Ends the stream; resolves when the client has taken what it was sent, or takes too long. */
  async takeLeave(stream: Duplex): Promise<void> {
    const taken = new Promise<void>((resolve) => void stream.end(() => resolve()))
    const linger = setTimeout(() => this.#farewell.resolve(), LINGER_MS)
    await Promise.race([taken, this.#gone, this.#farewell.promise])
    clearTimeout(linger)
    // To close at once would break off what is still on its way to a client that goes on asking.
    const parting = new AbortController()
    const parted = sleep(PARTING_MS, undefined, { signal: parting.signal }).catch(() => {})
    await Promise.race([this.#gone, parted])
    parting.abort()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this.#stop)
  }

  readonly #stop = (): void => {
    if (this.#isNegotiating) this.#socket.destroy()
    else this.#timer = setTimeout(() => this.#farewell.resolve(), this.#farewellMs)
  }
}
