import {
  type BlockSource,
  type CachedPiece,
  type Completion,
  type Extent,
  assertRange,
} from './source.ts'

/** Rounds the size up to whole sectors, as the kernel needs it; what is added reads as zeroes. */
export class Pad implements BlockSource {
  readonly size: number
  readonly #base: BlockSource

  constructor(base: BlockSource, sectorBytes: number) {
    this.#base = base
    this.size = Math.ceil(base.size / sectorBytes) * sectorBytes
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    const held = Math.max(0, Math.min(target.length, this.#base.size - offset))
    if (held === target.length) return this.#base.read(target, offset)
    target.fill(0, held)
    return held > 0 ? this.#base.read(target.subarray(0, held), offset) : undefined
  }
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    if (offset >= this.#base.size) return { kind: 'hole', length, depth: 0 }
    return this.#base.extent(offset, Math.min(length, this.#base.size - offset))
  }
  cached(offset: number, length: number): CachedPiece | undefined {
    assertRange(this.size, offset, length)
    return offset + length > this.#base.size ? undefined : this.#base.cached?.(offset, length)
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#base[Symbol.asyncDispose]()
  }
}
