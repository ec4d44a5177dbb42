import { REQUEST_MAGIC, RequestHeader } from './protocol.ts'
import { payloadBytes } from './request.ts'
import { PeerRefused } from '../errors.ts'

export interface RequestSink {
  /** How many bytes of the payload to keep: all, or none when the request is refused anyway. */
  keeps(header: RequestHeader): boolean
  /** A request is complete; `payload` is empty unless it was kept. */
  take(header: RequestHeader, payload: Uint8Array): void
}

const NOTHING = new Uint8Array(0)

/** Cuts the bytes of a connection into requests, whatever pieces they come in. */
export class RequestParser {
  readonly #sink: RequestSink
  /** A header that came in pieces. */
  readonly #headerBytes = new Uint8Array(RequestHeader.size)
  #headerFilled = 0
  /** The request whose payload is coming. */
  #current: RequestHeader | undefined
  #payload: Uint8Array = NOTHING
  #payloadLeft = 0

  constructor(sink: RequestSink) {
    this.#sink = sink
  }

  /** Throws `PeerRefused` when the client has lost the thread; nothing after that makes sense. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      at += this.#current === undefined ? this.#pushHeader(chunk, at) : this.#pushPayload(chunk, at)
    }
  }

  #pushHeader(chunk: Uint8Array, at: number): number {
    if (this.#headerFilled === 0 && chunk.length - at >= RequestHeader.size) {
      this.#begin(RequestHeader.decode(chunk, at))
      return RequestHeader.size
    }
    const part = chunk.subarray(at, at + RequestHeader.size - this.#headerFilled)
    this.#headerBytes.set(part, this.#headerFilled)
    this.#headerFilled += part.length
    if (this.#headerFilled === RequestHeader.size) {
      this.#headerFilled = 0
      this.#begin(RequestHeader.decode(this.#headerBytes))
    }
    return part.length
  }

  #begin(header: RequestHeader): void {
    if (header.magic !== REQUEST_MAGIC) {
      throw new PeerRefused('the client sends something that is no NBD request', {
        where: { magic: `0x${header.magic.toString(16)}` },
      })
    }
    this.#payloadLeft = payloadBytes(header)
    if (this.#payloadLeft === 0) {
      this.#sink.take(header, NOTHING)
      return
    }
    this.#current = header
    this.#payload = this.#sink.keeps(header) ? new Uint8Array(this.#payloadLeft) : NOTHING
  }

  #pushPayload(chunk: Uint8Array, at: number): number {
    const part = chunk.subarray(at, at + this.#payloadLeft)
    const whole = this.#payload.length
    if (part.length === whole) this.#payload = part
    else if (whole > 0) this.#payload.set(part, whole - this.#payloadLeft)
    this.#payloadLeft -= part.length
    if (this.#payloadLeft === 0 && this.#current !== undefined) {
      const header = this.#current
      this.#current = undefined
      this.#sink.take(header, this.#payload)
      this.#payload = NOTHING
    }
    return part.length
  }
}
