import {
  type BlockDevice,
  type CachedPiece,
  type Completion,
  type Extent,
  assertRange,
} from './source.ts'

/**
 * Serves changes at any byte offset over a device that wants whole sectors. A change that cuts a
 * sector reads it, changes it and writes it back, alone: other changes wait, or the bytes around it
 * would be put back as they were.
 */
export class Align implements BlockDevice {
  readonly size: number
  readonly #base: BlockDevice
  readonly #sector: number
  #sharing = new Set<Promise<unknown>>()
  /** The last of the changes that cut a sector, while there are any. */
  #alone: Promise<unknown> | undefined

  constructor(base: BlockDevice, sectorBytes: number) {
    this.size = base.size
    this.#base = base
    this.#sector = sectorBytes
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    if (this.#aligned(offset, target.length)) return this.#base.read(target, offset)
    return this.#readAround(target, offset)
  }

  async #readAround(target: Uint8Array, offset: number): Promise<void> {
    const { start, end } = this.#around(offset, target.length)
    const whole = new Uint8Array(end - start)
    await this.#base.read(whole, start)
    target.set(whole.subarray(offset - start, offset - start + target.length))
  }

  /** A sector in which something ends, as images of odd sizes do, is data: that is always true. */
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    const { start, end } = this.#around(offset, length)
    const extent = await this.#base.extent(start, end - start)
    const whole = extent.length - (extent.length % this.#sector)
    const held = (run: number) => Math.min(start + run - offset, length)
    if (whole > 0) return { ...extent, length: held(whole) }
    return { kind: 'data', length: held(this.#sector), depth: Math.max(1, extent.depth) }
  }

  cached(offset: number, length: number): CachedPiece | undefined {
    assertRange(this.size, offset, length)
    return this.#aligned(offset, length) ? this.#base.cached?.(offset, length) : undefined
  }

  write(data: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, data.length)
    if (this.#aligned(offset, data.length)) return this.#share(() => this.#base.write(data, offset))
    return this.#takeAlone(() => this.#splice(data, offset))
  }

  async zero(offset: number, length: number): Promise<void> {
    assertRange(this.size, offset, length)
    if (this.#aligned(offset, length)) return this.#share(() => this.#base.zero(offset, length))
    const { start, end } = this.#within(offset, length)
    await this.#takeAlone(async () => {
      if (start >= end) return this.#splice(new Uint8Array(length), offset)
      await this.#base.zero(start, end - start)
      if (start > offset) await this.#splice(new Uint8Array(start - offset), offset)
      const rest = offset + length - end
      if (rest > 0) await this.#splice(new Uint8Array(rest), end)
    })
  }

  /** Sectors that the range cuts are kept: a discard is a hint. */
  async discard(offset: number, length: number): Promise<void> {
    assertRange(this.size, offset, length)
    const { start, end } = this.#within(offset, length)
    if (start < end) await this.#share(() => this.#base.discard(start, end - start))
  }

  flush(): Promise<void> {
    return this.#base.flush()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#base[Symbol.asyncDispose]()
  }

  #aligned(offset: number, length: number): boolean {
    return offset % this.#sector === 0 && length % this.#sector === 0
  }
  /** The whole sectors that the range touches. */
  #around(offset: number, length: number): { start: number; end: number } {
    const end = Math.ceil((offset + length) / this.#sector) * this.#sector
    return { start: offset - (offset % this.#sector), end }
  }
  /** The whole sectors that the range covers; none when `start >= end`. */
  #within(offset: number, length: number): { start: number; end: number } {
    const end = offset + length
    return {
      start: Math.ceil(offset / this.#sector) * this.#sector,
      end: end - (end % this.#sector),
    }
  }

  async #splice(data: Uint8Array, offset: number): Promise<void> {
    const { start, end } = this.#around(offset, data.length)
    const whole = new Uint8Array(end - start)
    await this.#base.read(whole, start)
    whole.set(data, offset - start)
    await this.#base.write(whole, start)
  }

  #share(change: () => Completion): Completion {
    if (this.#alone !== undefined) return this.#alone.then(() => this.#share(change))
    const changing = change()
    if (changing === undefined) return undefined
    const shared = changing.finally(() => this.#sharing.delete(shared))
    this.#sharing.add(shared)
    return shared
  }

  async #takeAlone(change: () => Promise<void>): Promise<void> {
    const before = this.#alone
    const turn = (async () => {
      await before
      await Promise.allSettled(this.#sharing)
      await change()
    })()
    const over = turn.catch(() => {})
    this.#alone = over
    await turn.finally(() => {
      if (this.#alone === over) this.#alone = undefined
    })
  }
}
