import { SourceRefused, SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Exchange, type Sink, exchange } from './exchange.ts'
import { reprDigests } from './digest.ts'
import { type Headers, errorOfStatus, isRedirect } from './response.ts'

export type WholeAnswer =
  | { readonly kind: 'whole'; readonly headers: Headers; readonly bytes: Uint8Array }
  | { readonly kind: 'redirect'; readonly location: string }

/** What a file of unknown length gets at first. */
const FIRST_BYTES = 65_536

/** One GET of a whole file. Throws what `tooLong` makes of its length beyond `limitBytes`. */
export function requestWhole(
  request: Exchange,
  limitBytes: number,
  tooLong: (bytes: number) => Error,
): Promise<WholeAnswer> {
  return exchange(request, new WholeSink(request.url, limitBytes, tooLong))
}

class WholeSink implements Sink<WholeAnswer> {
  readonly #url: URL
  readonly #limitBytes: number
  readonly #tooLong: (bytes: number) => Error
  #bytes = new Uint8Array(0)
  #headers: Headers = {}
  /** Of `Content-Length`, if there is one. */
  #length: number | undefined
  #filled = 0

  constructor(url: URL, limitBytes: number, tooLong: (bytes: number) => Error) {
    this.#url = url
    this.#limitBytes = limitBytes
    this.#tooLong = tooLong
  }

  begin(status: number, headers: Headers): WholeAnswer | undefined {
    if (isRedirect(status) && headers.location !== undefined) {
      return { kind: 'redirect', location: headers.location }
    }
    if (status !== 200) throw errorOfStatus(status, headers, shown(this.#url))
    if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
      throw new SourceUnavailable('the server sends the file in another coding than it has', {
        where: { url: shown(this.#url), 'content-encoding': headers['content-encoding'] ?? '' },
      })
    }
    if (!showsItsEnd(headers)) {
      throw new SourceRefused('the server does not say how long the file is', {
        where: { url: shown(this.#url) },
        advice: 'let it send Content-Length, or use a web server with range requests',
      })
    }
    const digits = /^\d{1,15}$/.exec(headers['content-length'] ?? '')?.[0]
    this.#length = digits === undefined ? undefined : Number(digits)
    this.#headers = headers
    this.#assertFits(this.#length ?? 0)
    this.#bytes = new Uint8Array(this.#length ?? Math.min(this.#limitBytes, FIRST_BYTES))
    return undefined
  }

  take(chunk: Uint8Array): void {
    const end = this.#filled + chunk.length
    this.#assertFits(end)
    if (end > this.#bytes.length) this.#bytes = this.#grown(end)
    this.#bytes.set(chunk, this.#filled)
    this.#filled = end
  }

  end(): WholeAnswer {
    const expected = this.#length ?? this.#filled
    if (this.#filled !== expected) {
      throw new SourceUnavailable('the server sends another length than it says', {
        where: { url: shown(this.#url), length: expected, came: this.#filled },
      })
    }
    return { kind: 'whole', headers: this.#headers, bytes: this.#bytes.subarray(0, expected) }
  }

  #grown(leastBytes: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.min(this.#limitBytes, 2 * leastBytes))
    bytes.set(this.#bytes.subarray(0, this.#filled))
    return bytes
  }

  cut(error: Error): WholeAnswer {
    throw error
  }

  #assertFits(bytes: number): void {
    if (bytes > this.#limitBytes) throw this.#tooLong(this.#length ?? bytes)
  }
}

/** A body that ends with its connection looks whole wherever it was cut (RFC 9112, section 8). */
function showsItsEnd(headers: Headers): boolean {
  return (
    headers['content-length'] !== undefined ||
    /\bchunked\b/i.test(headers['transfer-encoding'] ?? '') ||
    reprDigests(headers).size > 0
  )
}
