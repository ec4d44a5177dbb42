import type { Came } from '../block/source.ts'
import { SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Exchange, type Sink, exchange } from './exchange.ts'
import { type Headers, contentRange, errorOfStatus, isRedirect } from './response.ts'

/** What the headers of a 206 say. */
export interface RangeHead {
  readonly headers: Headers
  /** The length of the whole file, of `Content-Range`. */
  readonly size: number
  /** How many bytes of the target it is about: fewer than asked for only at the end of the file. */
  readonly length: number
}

export type RangeAnswer =
  /** The target is filled. */
  | (RangeHead & {
      readonly kind: 'range'
      readonly firstByteMs: number
      readonly lastByteMs: number
    })
  | { readonly kind: 'redirect'; readonly location: string }
  /** The body broke off; the first `filled` bytes of the target are good. */
  | (RangeHead & { readonly kind: 'cut'; readonly filled: number; readonly error: Error })

/**
 * One GET of one range into one buffer. Only a 206 whose `Content-Range` starts where we asked and
 * whose body is not longer counts; everything else throws.
 *
 * @param check sees the headers of a 206 before any byte of it is taken, and throws to refuse it
 * @param came told how many bytes of the target are filled, whenever more are, if the server has said
 *   how long the body is
 */
export function requestRange(
  request: Exchange,
  target: Uint8Array,
  offset: number,
  check: (head: RangeHead) => void,
  came: Came = () => {},
): Promise<RangeAnswer> {
  const range = `bytes=${offset}-${offset + target.length - 1}`
  const headers = { ...request.headers, range }
  return exchange({ ...request, headers }, new RangeSink(request.url, target, offset, check, came))
}

class RangeSink implements Sink<RangeAnswer> {
  readonly #url: URL
  readonly #target: Uint8Array
  readonly #offset: number
  readonly #check: (head: RangeHead) => void
  readonly #came: Came
  #head: RangeHead = { headers: {}, size: 0, length: 0 }
  #firstByteMs = 0
  #filled = 0
  /** The target, or a place of its own for a body of which only the end shows whether it is the range. */
  #into: Uint8Array

  constructor(
    url: URL,
    target: Uint8Array,
    offset: number,
    check: (head: RangeHead) => void,
    came: Came,
  ) {
    this.#url = url
    this.#target = target
    this.#into = target
    this.#offset = offset
    this.#check = check
    this.#came = came
  }

  begin(status: number, headers: Headers, ms: number): RangeAnswer | undefined {
    if (isRedirect(status) && headers.location !== undefined) {
      return { kind: 'redirect', location: headers.location }
    }
    if (status !== 206) throw errorOfStatus(status, headers, shown(this.#url))
    const range = contentRange(headers)
    const coding = headers['content-encoding'] ?? 'identity'
    if (range === undefined || coding !== 'identity') throw this.#otherRange(headers)
    const length = Math.min(this.#target.length, range.size - this.#offset)
    this.#head = { headers, size: range.size, length }
    // Another version first: a file that shrank answers other ranges, and that is only a symptom.
    this.#check(this.#head)
    if (range.first !== this.#offset || range.last !== this.#offset + length - 1) {
      throw this.#otherRange(headers)
    }
    const said = headers['content-length']
    if (said === undefined) this.#into = new Uint8Array(length)
    else if (!(Number(said) <= length)) throw this.#otherRange(headers)
    this.#firstByteMs = ms
    return undefined
  }

  take(chunk: Uint8Array): void {
    if (this.#filled + chunk.length > this.#head.length) {
      throw this.#unavailable('the server sends more than the range')
    }
    this.#into.set(chunk, this.#filled)
    this.#filled += chunk.length
    if (this.#isBounded) this.#came(this.#filled)
  }

  end(ms: number): RangeAnswer {
    if (this.#filled < this.#head.length) {
      return this.cut(this.#unavailable('the server sends less than the range'))
    }
    if (!this.#isBounded) this.#target.set(this.#into)
    return { ...this.#head, kind: 'range', firstByteMs: this.#firstByteMs, lastByteMs: ms }
  }

  cut(error: Error): RangeAnswer {
    return { ...this.#head, kind: 'cut', filled: this.#isBounded ? this.#filled : 0, error }
  }

  /** Whether the server has said that no more than the range will come. */
  get #isBounded(): boolean {
    return this.#into === this.#target
  }

  #otherRange(headers: Headers): SourceUnavailable {
    return this.#unavailable('the server answers another range than asked for', {
      'content-range': headers['content-range'] ?? 'none',
      'content-encoding': headers['content-encoding'] ?? 'none',
    })
  }

  #unavailable(what: string, more: Readonly<Record<string, string>> = {}): SourceUnavailable {
    const length = this.#target.length
    const where = { url: shown(this.#url), offset: this.#offset, length, ...more }
    return new SourceUnavailable(what, { where })
  }
}
