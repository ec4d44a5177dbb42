import { SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Exchange, type Sink, exchange } from './exchange.ts'
import { type Headers, errorOfStatus, isRedirect } from './response.ts'

export type WholeAnswer =
  | { readonly kind: 'whole'; readonly headers: Headers; readonly bytes: Uint8Array }
  | { readonly kind: 'redirect'; readonly location: string }

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
  readonly #chunks: Uint8Array[] = []
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
    const digits = /^\d{1,15}$/.exec(headers['content-length'] ?? '')?.[0]
    this.#length = digits === undefined ? undefined : Number(digits)
    this.#headers = headers
    this.#assertFits(this.#length ?? 0)
    return undefined
  }

  take(chunk: Uint8Array): void {
    this.#filled += chunk.length
    this.#assertFits(this.#filled)
    // undici may use the memory of a chunk again.
    this.#chunks.push(chunk.slice())
  }

  end(): WholeAnswer {
    const expected = this.#length ?? this.#filled
    if (this.#filled !== expected) {
      throw new SourceUnavailable('the server sends less than the file', {
        where: { url: shown(this.#url), length: expected, came: this.#filled },
      })
    }
    const bytes = new Uint8Array(this.#filled)
    let at = 0
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return { kind: 'whole', headers: this.#headers, bytes }
  }

  cut(error: Error): WholeAnswer {
    throw error
  }

  #assertFits(bytes: number): void {
    if (bytes > this.#limitBytes) throw this.#tooLong(this.#length ?? bytes)
  }
}
