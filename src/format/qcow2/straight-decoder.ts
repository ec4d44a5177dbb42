import type { InflateRaw, ZstdDecompress } from 'node:zlib'
import type { Decoder } from './decoders.ts'

declare module 'node:zlib' {
  /** What a stream works with, of Node's own; its type is not public. */
  interface Zlib {
    readonly _handle: {
      /** zlib's or zstd's next step, on this thread. */
      writeSync(
        flush: number,
        from: Uint8Array,
        at: number,
        length: number,
        into: Uint8Array,
        intoAt: number,
        room: number,
      ): void
    }
    /** The room and the input that the last step has left. */
    readonly _writeState: Uint32Array
  }
}

/**
 * Decodes straight to where the bytes are wanted, and no further: the beginning of a zlib cluster
 * costs what it takes by itself. A stream would put everything into a queue, in pieces of its own
 * size, so the few fields that say where it is and where it puts things are set for each piece.
 */
export class StraightDecoder implements Decoder {
  readonly #stream: InflateRaw | ZstdDecompress
  readonly #flush: number
  readonly #reset: () => void
  readonly #read: (bytes: number) => void
  #wanted = 0
  #length = 0
  #settle: (error?: unknown) => void = () => {}

  /** @param flush how a step goes on when there is no more to take in */
  constructor(stream: InflateRaw | ZstdDecompress, flush: number, reset: () => void) {
    this.#stream = stream
    this.#flush = flush
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

  decodeNow(packed: Uint8Array, into: Uint8Array): number {
    this.#reset()
    const { _handle, _writeState } = this.#stream
    _handle.writeSync(this.#flush, packed, 0, packed.length, into, 0, into.length)
    const { errored } = this.#stream
    if (errored) throw errored
    return into.length - _writeState[0]!
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
