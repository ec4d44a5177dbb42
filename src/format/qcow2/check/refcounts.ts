import type { BlockSource } from '../../../block/source.ts'
import { readClamped } from '../../clamped.ts'
import type { Header } from '../header.ts'

/** Reads reference counts, a block at a time. Specification, "Host cluster management". */
export class Refcounts {
  readonly #source: BlockSource
  readonly #bits: number
  readonly #clusterBytes: number
  readonly #table: DataView

  private constructor(source: BlockSource, header: Header, table: Uint8Array) {
    this.#source = source
    this.#bits = 2 ** header.refcount_order
    this.#clusterBytes = 2 ** header.cluster_bits
    this.#table = new DataView(table.buffer, table.byteOffset, table.byteLength)
  }

  /** The table is at most 8 MiB long: the header was checked. */
  static async open(source: BlockSource, header: Header): Promise<Refcounts> {
    const length = header.refcount_table_clusters * 2 ** header.cluster_bits
    const held = Math.min(length, Math.max(0, source.size - header.refcount_table_offset))
    const table = await readClamped(source, header.refcount_table_offset, Math.ceil(held / 8) * 8)
    return new Refcounts(source, header, table)
  }

  /** The counts of `count` clusters from `first`, as numbers that end at 65535. */
  async read(first: number, count: number): Promise<Uint16Array> {
    const counts = new Uint16Array(count)
    const perBlock = (this.#clusterBytes * 8) / this.#bits
    for (let at = 0; at < count;) {
      const within = (first + at) % perBlock
      const held = Math.min(count - at, perBlock - within)
      const offset = this.#blockOffset(Math.floor((first + at) / perBlock))
      if (offset !== 0 && offset < this.#source.size) {
        const block = await readClamped(this.#source, offset, this.#clusterBytes)
        for (let i = 0; i < held; i++) counts[at + i] = this.#count(block, within + i)
      }
      at += held
    }
    return counts
  }

  #blockOffset(index: number): number {
    const at = index * 8
    if (at >= this.#table.byteLength) return 0
    const lower = (this.#table.getUint32(at + 4) & 0xffff_fe00) >>> 0
    const offset = this.#table.getUint32(at) * 2 ** 32 + lower
    return offset % this.#clusterBytes === 0 ? offset : 0
  }

  /** Narrow counts begin at the least significant bit of their byte; wide ones are big-endian. */
  #count(block: Uint8Array, index: number): number {
    if (this.#bits < 8) {
      const bit = index * this.#bits
      return (block[bit >> 3]! >> (bit & 7)) & (2 ** this.#bits - 1)
    }
    const bytes = this.#bits / 8
    let count = 0
    for (let i = 0; i < bytes; i++) count = count * 256 + block[index * bytes + i]!
    return Math.min(count, 0xffff)
  }
}
