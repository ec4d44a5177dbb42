/** A block is looked at in this many equal parts. */
const PARTS = 16
/** How far from where something was read a window may be, in windows, and what that takes off. */
const REACH = 1
const DECAY = 3

/**
 * Which parts of the blocks in a cache were read, and what lies where much was read. Files that
 * belong together lie together, whatever the file system: what was read next to a place is the
 * best sign that it will be wanted.
 */
export class Heat {
  readonly #blockBytes: number
  /** A bit for each part of a block that was read. */
  readonly #read = new Map<number, number>()
  #readBytes = 0

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes
  }

  /** What was read for the first time since its block was fetched, in bytes of whole parts. */
  get readBytes(): number {
    return this.#readBytes
  }

  /** Notes a read of `from..to` of a block; true if some part was read for the first time. */
  touch(block: number, from: number, to: number): boolean {
    const before = this.#read.get(block) ?? 0
    const partBytes = this.#blockBytes / PARTS
    const first = Math.floor(from / partBytes)
    const end = Math.ceil(to / partBytes)
    const after = before | (2 ** end - 2 ** first)
    if (after === before) return false
    this.#readBytes += (ones(after) - ones(before)) * partBytes
    this.#read.set(block, after)
    return true
  }

  /** The block is gone from the cache, or never came. */
  forget(block: number): void {
    this.#read.delete(block)
  }

  /**
   * The window of `blocks` blocks, by its number, that lies nearest to the most that was read, of
   * those that `lacks` says something is missing of.
   */
  hottest(blocks: number, lacks: (window: number) => boolean): number | undefined {
    const parts = new Map<number, number>()
    for (const [block, bits] of this.#read) {
      const window = Math.floor(block / blocks)
      parts.set(window, (parts.get(window) ?? 0) + ones(bits))
    }
    const heat = new Map<number, number>()
    for (const [window, count] of parts)
      for (let distance = -REACH; distance <= REACH; distance++) {
        const merit = count / (1 + DECAY * Math.abs(distance))
        heat.set(window + distance, (heat.get(window + distance) ?? 0) + merit)
      }
    const warm = [...heat].toSorted(([, a], [, b]) => b - a)
    return warm.find(([window]) => window >= 0 && lacks(window))?.[0]
  }
}

function ones(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
