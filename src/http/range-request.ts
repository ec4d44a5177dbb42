import { Agent, type Dispatcher } from 'undici'
import { SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Headers, contentRange, errorOfStatus, isRedirect } from './response.ts'

/** What a 206 brought; the bytes are in the target that was given. */
export interface RangeAnswer {
  readonly headers: Headers
  /** The length of the whole file, of `Content-Range`. */
  readonly size: number
  /** How many bytes of the target are filled: fewer than asked for only at the end of the file. */
  readonly length: number
}
export interface Redirect {
  readonly location: string
}

/**
 * One GET of one range into one buffer. Only a 206 whose `Content-Range` starts where we asked and
 * whose body is exactly as long counts; everything else throws. No HEAD, no `Accept-Encoding`.
 *
 * @param check sees the headers of a 206 before any byte of it is taken, and throws to refuse it
 */
export function requestRange(
  dispatcher: Agent,
  url: URL,
  requestHeaders: Readonly<Record<string, string>>,
  target: Uint8Array,
  offset: number,
  check: (answer: RangeAnswer) => void,
): Promise<RangeAnswer | Redirect> {
  const { promise, resolve, reject } = Promise.withResolvers<RangeAnswer | Redirect>()
  const receiver = new Receiver(shown(url), target, offset, check, resolve, reject)
  dispatcher.dispatch(
    {
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: { ...requestHeaders, range: `bytes=${offset}-${offset + target.length - 1}` },
    },
    receiver,
  )
  return promise
}

class Receiver implements Dispatcher.DispatchHandler {
  readonly #url: string
  readonly #target: Uint8Array
  readonly #offset: number
  readonly #check: (answer: RangeAnswer) => void
  readonly #resolve: (answer: RangeAnswer | Redirect) => void
  readonly #reject: (error: unknown) => void
  #answer: RangeAnswer | undefined
  #filled = 0

  constructor(
    url: string,
    target: Uint8Array,
    offset: number,
    check: (answer: RangeAnswer) => void,
    resolve: (answer: RangeAnswer | Redirect) => void,
    reject: (error: unknown) => void,
  ) {
    this.#url = url
    this.#target = target
    this.#offset = offset
    this.#check = check
    this.#resolve = resolve
    this.#reject = reject
  }

  onRequestStart(): void {}

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Headers,
  ): void {
    if (status < 200) return
    try {
      this.#answer = this.#accept(status, headers)
    } catch (error) {
      this.#reject(error)
    }
    // Nobody reads the body of anything else; the connection is not worth draining it.
    if (this.#answer === undefined) controller.abort(new Error('not a range'))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#answer === undefined) return
    if (this.#filled + chunk.length > this.#answer.length) {
      this.#reject(this.#unavailable('the server sends more than the range', undefined))
      controller.abort(new Error('too long'))
      return
    }
    this.#target.set(chunk, this.#filled)
    this.#filled += chunk.length
  }

  onResponseEnd(): void {
    if (this.#answer === undefined) return
    if (this.#filled === this.#answer.length) this.#resolve(this.#answer)
    else this.#reject(this.#unavailable('the server sends less than the range', undefined))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#reject(this.#unavailable(reasonOf(error), error))
  }

  #accept(status: number, headers: Headers): RangeAnswer | undefined {
    if (isRedirect(status) && headers.location !== undefined) {
      this.#resolve({ location: headers.location })
      return undefined
    }
    if (status !== 206) throw errorOfStatus(status, headers, this.#url)
    const range = contentRange(headers)
    const coding = headers['content-encoding'] ?? 'identity'
    if (range !== undefined && coding === 'identity') {
      const length = Math.min(this.#target.length, range.size - this.#offset)
      const answer = { headers, size: range.size, length }
      // Another version first: a file that shrank answers other ranges, and that is only a symptom.
      this.#check(answer)
      if (range.first === this.#offset && range.last === this.#offset + length - 1) return answer
    }
    throw this.#unavailable('the server answers another range than asked for', undefined, {
      'content-range': `${headers['content-range'] ?? 'none'}`,
      'content-encoding': coding,
    })
  }

  #unavailable(
    what: string,
    cause: unknown,
    more: Readonly<Record<string, string>> = {},
  ): SourceUnavailable {
    const where = { url: this.#url, offset: this.#offset, length: this.#target.length, ...more }
    return new SourceUnavailable(what, { where, cause })
  }
}

/** What happened on the wire, in words that an administrator would use. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the server refuses the connection',
  ENOTFOUND: 'the name of the server is not known',
  EAI_AGAIN: 'no name server answers',
  ENETUNREACH: 'there is no route to the server',
  EHOSTUNREACH: 'there is no route to the server',
  ETIMEDOUT: 'the server does not answer',
  UND_ERR_CONNECT_TIMEOUT: 'the server does not answer',
  UND_ERR_HEADERS_TIMEOUT: 'the server accepts the request and does not answer it',
  UND_ERR_BODY_TIMEOUT: 'the server stalls in the middle of the range',
  ECONNRESET: 'the server closes the connection',
  EPIPE: 'the server closes the connection',
  UND_ERR_SOCKET: 'the server closes the connection',
}

function reasonOf(error: NodeJS.ErrnoException): string {
  const code = error.code ?? ''
  return REASONS[code] ?? `the transfer fails: ${code} ${error.message}`
}
