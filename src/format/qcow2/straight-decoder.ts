import type { InflateRaw, ZstdDecompress } from 'node:zlib'
import type { Decoder } from './decoders.ts'

/**
 * Decodes straight to where the bytes are wanted, and no further: the beginning of a zlib cluster
 * costs what it takes by itself. A stream would put everything into a queue, in pieces of its own
 * size, so the few fields that say where it is and where it puts things are set for each piece.
 */
export class StraightDecoder implements Decoder {
  readonly #stream: InflateRaw | ZstdDecompress
  readonly #reset: () => void
  readonly #read: (bytes: number) => void
  #wanted = 0
  #length = 0
  #settle: (error?: unknown) => void = () => {}

  constructor(stream: InflateRaw | ZstdDecompress, reset: () => void) {
    this.#stream = stream
    this.#reset = reset
    this.#read = stream._read.bind(stream)
    stream.push = (chunk: unknown) => chunk instanceof Uint8Array && this.#take(chunk.length)
    stream.on('error', (error) => this.#settle(error))
  }

  async decode(packed: Uint8Array, into: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#wanted = into.length
    this.#length = 0
    this.#settle = (error) => (error ? reject(error) : resolve())
    this.#reset()
    Object.assign(this.#stream, {
      _outBuffer: Buffer.from(into.buffer, into.byteOffset, into.length),
      _outOffset: 0,
      _chunkSize: into.length,
      // In place of the one that would go on where the stream was stopped.
      _read: this.#read,
    })
    this.#stream._transform(packed, 'binary', (error) => this.#settle(error))
    await promise
    return this.#length
  }

  close(): void {
    this.#settle = () => {}
    this.#stream.destroy()
  }

  /** The bytes are where they belong already. Returns whether the stream shall go on. */
  #take(length: number): boolean {
    this.#length = length
    if (length < this.#wanted) return true
    // The stream makes room for more, which nobody will want.
    Object.assign(this.#stream, { _chunkSize: 0 })
    this.#settle()
    return false
  }
}
