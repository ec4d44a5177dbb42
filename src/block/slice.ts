import assert from 'node:assert/strict'
import {
  type BlockSource,
  type CachedPiece,
  type Completion,
  type Extent,
  assertRange,
} from './source.ts'

/** A window of another source, such as an image inside a larger file. */
export class Slice implements BlockSource {
  readonly size: number
  readonly #base: BlockSource
  readonly #start: number

  constructor(base: BlockSource, start: number, size: number) {
    assert(start >= 0 && size >= 0 && start + size <= base.size)
    this.#base = base
    this.#start = start
    this.size = size
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    return this.#base.read(target, this.#start + offset)
  }
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return this.#base.extent(this.#start + offset, length)
  }
  prefetch(offset: number, length: number): void {
    assertRange(this.size, offset, length)
    this.#base.prefetch?.(this.#start + offset, length)
  }
  cached(offset: number, length: number): CachedPiece | undefined {
    assertRange(this.size, offset, length)
    return this.#base.cached?.(this.#start + offset, length)
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#base[Symbol.asyncDispose]()
  }
}
