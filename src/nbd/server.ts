import type { Server, Socket } from 'node:net'
import { PeerRefused } from '../errors.ts'
import type { Export } from './export.ts'
import { negotiate } from './handshake.ts'
import { type TransmissionOptions, transmit } from './transmission.ts'

/** A client that does not finish its handshake in this time is dropped (CVE-2024-7409). */
const NEGOTIATION_MS = 10_000
const MOST_CONNECTIONS = 100
/** What one client may have under way. */
const CLIENT_BOUNDS = { mostRequests: 256, mostBytes: 64 * 1024 * 1024 } as const

/** Serves one export to any number of clients that connect to `server`. */
export class NbdServer {
  readonly #server: Server
  readonly #served: Export
  readonly #options: TransmissionOptions
  readonly #connections = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(server: Server, served: Export, report: (error: unknown) => void) {
    this.#server = server
    this.#served = served
    const { signal } = this.#closing
    this.#options = { ...CLIENT_BOUNDS, report, signal }
    server.maxConnections = MOST_CONNECTIONS
    server.on('connection', (socket) => this.#accept(socket))
  }

  /** Accepts no more clients, answers what they asked so far, then lets go. */
  async close(): Promise<void> {
    this.#server.close()
    this.#closing.abort()
    await Promise.all(this.#connections)
  }

  #accept(socket: Socket): void {
    socket.setNoDelay(true)
    const over = serveConnection(socket, this.#served, this.#options).finally(() =>
      this.#connections.delete(over),
    )
    this.#connections.add(over)
  }
}

/** Serves the one client on `socket` until it leaves or `signal` ends it. */
export function serveAlone(
  socket: Socket,
  served: Export,
  report: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  return serveConnection(socket, served, { ...CLIENT_BOUNDS, report, signal })
}

/** Negotiates with the client on `socket` and serves it until it leaves. Never rejects. */
async function serveConnection(
  socket: Socket,
  served: Export,
  options: TransmissionOptions,
): Promise<void> {
  // Without a listener an error on the socket would end the process; 'close' follows it.
  socket.on('error', () => {})
  const hangUp = () => socket.destroy()
  const late = setTimeout(hangUp, NEGOTIATION_MS)
  options.signal?.addEventListener('abort', hangUp, { once: true })
  try {
    const goesOn = await negotiate(socket, served)
    clearTimeout(late)
    options.signal?.removeEventListener('abort', hangUp)
    if (goesOn) await transmit(socket, served, options)
    socket.end()
  } catch (error) {
    if (!(error instanceof PeerRefused)) options.report(error)
    socket.destroy()
  } finally {
    clearTimeout(late)
    options.signal?.removeEventListener('abort', hangUp)
  }
}
