import { type BlockSource, type Extent, assertRange } from './source.ts'

/** Bytes that are all here already. */
export class Bytes implements BlockSource {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get size(): number {
    return this.#bytes.length
  }
  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    target.set(this.#bytes.subarray(offset, offset + target.length))
  }
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}
