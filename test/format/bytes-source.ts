import { type BlockSource, type Extent, assertRange } from '../../src/block/source.ts'

/** Bytes of any length as a source that counts what is read from it and is strict about its end. */
export class BytesSource implements BlockSource {
  reads = 0
  readBytes = 0
  disposed = false
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }
  get size(): number {
    return this.#bytes.length
  }
  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    this.reads++
    this.readBytes += target.length
    target.set(this.#bytes.subarray(offset, offset + target.length))
  }
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true
  }
}
