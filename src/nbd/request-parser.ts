import { PeerRefused } from '../errors.ts'
import {
  EXTENDED_REQUEST_MAGIC,
  ExtendedRequestHeader,
  REQUEST_MAGIC,
  RequestHeader,
} from './protocol.ts'
import { Request } from './request.ts'

const NOTHING = new Uint8Array(0)
/** What is copied to let go of a chunk. */
const MOST_COPIED_BYTES = 8 * 1024

/**
 * Cuts the bytes of a connection into requests, whatever pieces they come in. It is asked for one
 * thing after the other, and keeps what nobody asked for yet: a request whose turn has not come
 * costs nothing but its bytes.
 */
export class RequestParser {
  readonly #extended: boolean
  readonly #headerBytes: number
  /** What came last, and how far it is used up; whole chunks behind it wait in `#more`. */
  #chunk: Uint8Array = NOTHING
  #view = viewOf(this.#chunk)
  #at = 0
  #end = 0
  readonly #more: Uint8Array[] = []
  #buffered = 0
  #received = 0
  /** A payload that comes in pieces. */
  #payload: Uint8Array | undefined
  #filled = 0

  constructor(extended: boolean) {
    this.#extended = extended
    this.#headerBytes = extended ? ExtendedRequestHeader.size : RequestHeader.size
  }

  /** How many bytes wait. */
  get buffered(): number {
    return this.#buffered
  }

  /** How many bytes came since the beginning. */
  get received(): number {
    return this.#received
  }

  /** Takes the first `length` bytes of `chunk`. */
  push(chunk: Uint8Array, length = chunk.length): void {
    if (length === 0) return
    this.#buffered += length
    this.#received += length
    if (this.#at === this.#end) this.#turnTo(chunk, length)
    else this.#more.push(chunk.subarray(0, length))
  }

  /**
   * The next request, its payload not yet read; undefined until more bytes come.
   * Throws `PeerRefused` when the client has lost the thread; nothing after that makes sense.
   */
  request(): Request | undefined {
    if (this.#buffered < this.#headerBytes) return undefined
    if (this.#end - this.#at < this.#headerBytes) this.#join(this.#headerBytes)
    const view = this.#view
    const at = this.#at
    const fields = this.#extended ? ExtendedRequestHeader.at : RequestHeader.at
    const magic = view.getUint32(at + fields.magic)
    if (magic !== (this.#extended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC)) {
      throw new PeerRefused('the client sends something that is no NBD request', {
        where: { magic: `0x${magic.toString(16)}` },
      })
    }
    const length = at + fields.length
    this.#use(this.#headerBytes)
    return new Request(
      view.getUint16(at + fields.flags),
      view.getUint16(at + fields.type),
      view.getInt32(at + fields.cookie),
      view.getInt32(at + fields.cookie + 4),
      view.getInt32(at + fields.offset),
      view.getInt32(at + fields.offset + 4),
      this.#extended
        ? view.getUint32(length) * 2 ** 32 + view.getUint32(length + 4)
        : view.getUint32(length),
    )
  }

  /** The next `length` bytes, without a copy where they came in one piece; undefined until then. */
  payload(length: number): Uint8Array | undefined {
    if (this.#payload === undefined) {
      if (this.#end - this.#at >= length) {
        const whole = this.#chunk.subarray(this.#at, this.#at + length)
        this.#use(length)
        return whole
      }
      this.#payload = Buffer.allocUnsafeSlow(length)
    }
    const payload = this.#payload
    while (this.#filled < length && this.#buffered > 0) {
      const part = this.#part(length - this.#filled)
      payload.set(part, this.#filled)
      this.#filled += part.length
    }
    if (this.#filled < length) return undefined
    this.#payload = undefined
    this.#filled = 0
    return payload
  }

  /** Drops up to `length` bytes; how many there were. */
  skip(length: number): number {
    let skipped = 0
    while (skipped < length && this.#buffered > 0) skipped += this.#part(length - skipped).length
    return skipped
  }

  /**
   * Lets go of a chunk that was pushed, if it can: a few bytes of it that were not asked for yet are
   * copied. Returns whether it holds nothing of it any more.
   */
  letGo(chunk: Uint8Array): boolean {
    const { buffer } = chunk
    if (this.#at === this.#end) return true
    if (this.#chunk.buffer !== buffer) return !this.#more.some((each) => each.buffer === buffer)
    if (this.#more.length > 0 || this.#end - this.#at > MOST_COPIED_BYTES) return false
    const rest = Buffer.from(this.#chunk.subarray(this.#at, this.#end))
    this.#turnTo(rest, rest.length)
    return true
  }

  /** As much of the next `most` bytes as is there in one piece, at least one byte. */
  #part(most: number): Uint8Array {
    const part = this.#chunk.subarray(this.#at, Math.min(this.#end, this.#at + most))
    this.#use(part.length)
    return part
  }

  /** Makes `length` bytes, which are there, one piece. */
  #join(length: number): void {
    const rest = this.#chunk.subarray(this.#at, this.#end)
    const pieces = [rest]
    for (let joined = rest.length; joined < length;) {
      const next = this.#more.shift()!
      pieces.push(next)
      joined += next.length
    }
    const joined = Buffer.concat(pieces)
    this.#turnTo(joined, joined.length)
  }

  #use(length: number): void {
    this.#at += length
    this.#buffered -= length
    const next = this.#at === this.#end ? this.#more.shift() : undefined
    if (next !== undefined) this.#turnTo(next, next.length)
  }

  /** Memory that chunks come in again and again needs no new view. */
  #turnTo(chunk: Uint8Array, length: number): void {
    if (chunk !== this.#chunk) this.#view = viewOf(chunk)
    this.#chunk = chunk
    this.#at = 0
    this.#end = length
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
