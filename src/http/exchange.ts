import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import type { Headers } from './response.ts'
import { wireError } from './wire-error.ts'

export interface Exchange {
  readonly dispatcher: Dispatcher
  readonly url: URL
  /** What the connection is to, where that is not the server; as it may be printed. */
  readonly proxy?: string
  readonly headers: Readonly<Record<string, string>>
  /** From now on nothing is poured into the sink. */
  readonly signal?: AbortSignal
  /** A body that brings less than `DRIP_BYTES` in this time is given up. */
  readonly dripMs: number
}

/** What an answer is poured into. Each may throw, which ends the exchange with that error. */
export interface Sink<T> {
  /** Sees every final status. What it returns is the result, and the body is not wanted then. */
  begin(status: number, headers: Headers, ms: number): T | undefined
  take(chunk: Uint8Array): void
  /** The body has ended in good order. */
  end(ms: number): T
  /** The body broke off: what can be made of the part that came. */
  cut(error: Error): T
}

/** A connection that is slower is as good as none; eight of them still make a modem's speed. */
const DRIP_BYTES = 4096

/** What a connection fails with that its server gives up while the next request is on its way. */
const GIVEN_UP = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** One GET: no HEAD, no `Accept-Encoding`. Times are milliseconds since the request was sent. */
export function exchange<T>(request: Exchange, sink: Sink<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const { signal } = request
  const handler = new Handler(request, sink, resolve, reject)
  if (signal !== undefined) {
    const abort = () => handler.abort(signal.reason)
    if (signal.aborted) abort()
    else {
      signal.addEventListener('abort', abort, { once: true })
      const forget = () => signal.removeEventListener('abort', abort)
      promise.then(forget, forget)
    }
  }
  handler.send()
  return promise
}

class Handler<T> implements Dispatcher.DispatchHandler {
  readonly #request: Exchange
  readonly #sink: Sink<T>
  readonly #resolve: (result: T) => void
  readonly #reject: (error: unknown) => void
  #controller: Dispatcher.DispatchController | undefined
  #startedMs = performance.now()
  #begun = false
  #over = false
  #sent = 0
  #dripSinceMs = 0
  #dripped = 0

  constructor(
    request: Exchange,
    sink: Sink<T>,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request
    this.#sink = sink
    this.#resolve = resolve
    this.#reject = reject
  }

  send(): void {
    const { dispatcher, url, headers } = this.#request
    const target = { origin: url.origin, path: url.pathname + url.search, method: 'GET' } as const
    this.#sent++
    dispatcher.dispatch({ ...target, headers: { 'user-agent': 'netcow', ...headers } }, this)
  }

  /** The sink's memory may be used for something else once this returns. */
  abort(reason: unknown): void {
    this.#fail(reason)
    this.#controller?.abort(new Error('not wanted any more'))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#startedMs = performance.now()
    if (this.#over) controller.abort(new Error('not wanted any more'))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status < 200 || this.#over) return
    this.#try(() => {
      const result = this.#sink.begin(status, joined(headers), this.#elapsedMs())
      if (result !== undefined) this.#settle(result)
    })
    this.#begun = true
    this.#dripSinceMs = performance.now()
    // Nobody reads this body; the connection is not worth draining it.
    if (this.#over) controller.abort(new Error('the body is not wanted'))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    this.#try(() => this.#sink.take(chunk))
    if (!this.#over && this.#drips(chunk.length)) {
      const { url, dripMs } = this.#request
      const where = { url: shown(url), seconds: dripMs / 1000, bytes: this.#dripped }
      this.#cut(new SourceUnavailable('the server sends next to nothing', { where }))
    }
    if (this.#over) controller.abort(new Error('the body is not wanted'))
  }

  onResponseEnd(): void {
    if (!this.#over) this.#try(() => this.#settle(this.#sink.end(this.#elapsedMs())))
  }

  onResponseError(
    _controller: Dispatcher.DispatchController,
    error: Error & { readonly code?: string },
  ): void {
    if (this.#over) return
    // Servers end connections that were idle for a while, perhaps just now: that is no failure.
    if (!this.#begun && this.#sent === 1 && GIVEN_UP.has(error.code ?? '')) {
      // Not before the dispatcher is through with this one.
      setImmediate(() => this.#over || this.send())
      return
    }
    const { url, proxy } = this.#request
    const failure = wireError(error, { url: shown(url), ...(proxy !== undefined && { proxy }) })
    if (this.#begun) this.#cut(failure)
    else this.#fail(failure)
  }

  #drips(bytes: number): boolean {
    this.#dripped += bytes
    const now = performance.now()
    if (now - this.#dripSinceMs < this.#request.dripMs) return false
    if (this.#dripped < DRIP_BYTES) return true
    this.#dripped = 0
    this.#dripSinceMs = now
    return false
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs
  }

  #cut(error: Error): void {
    this.#try(() => this.#settle(this.#sink.cut(error)))
  }
  #try(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#fail(error)
    }
  }
  #settle(result: T): void {
    this.#over = true
    this.#resolve(result)
  }
  #fail(error: unknown): void {
    this.#over = true
    this.#reject(error)
  }
}

/** A field that came twice, as from a proxy that adds its own, is one list (RFC 9110, section 5.3). */
function joined(headers: IncomingHttpHeaders): Headers {
  const fields = Object.entries(headers)
  if (!fields.some(([, value]) => Array.isArray(value))) return headers
  return Object.fromEntries(fields.map(([name, value]) => [name, [value].flat().join(', ')]))
}
