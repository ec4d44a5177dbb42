import { ByteCache } from '../../block/byte-cache.ts'
import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import { readClamped } from '../clamped.ts'

import { hostOffset } from './descriptor.ts'
import type { Geometry } from './geometry.ts'

/** Where an L1 table lies: the active one, or a snapshot's. */
export interface L1Place {
  readonly offset: number
  /** Number of entries. */
  readonly count: number
}

/** L2 tables that are fetched before somebody wants them: those of the first 8 GiB, usually. */
const PREFETCHED_BYTES = 1024 * 1024

/** The L1 table, whole in memory, and the L2 tables it points to, in slices, remembered. */
export class Tables {
  readonly #source: BlockSource
  readonly #geometry: Geometry
  readonly #l1: DataView
  readonly #slices: ByteCache<DataView>
  /** Where the source should go on to reach the L1 table. */
  #missing: number | undefined

  private constructor(source: BlockSource, geometry: Geometry, l1: Uint8Array, tableBytes: number) {
    this.#source = source
    this.#geometry = geometry
    this.#l1 = viewOf(l1)
    this.#slices = new ByteCache(tableBytes)
  }

  /** Reads the part of the L1 table that describes `size` bytes and lies in the source. */
  static async open(
    source: BlockSource,
    geometry: Geometry,
    place: L1Place,
    size: number,
    tableBytes: number,
  ): Promise<Tables> {
    const needed = Math.min(place.count, Math.ceil(size / geometry.tableReach))
    const held = Math.min(needed, Math.ceil(Math.max(0, source.size - place.offset) / 8))
    const l1 = await readClamped(source, place.offset, held * 8)
    const tables = new Tables(source, geometry, l1, tableBytes)
    // One without entries need not be there: it may be all that comes behind the end.
    if (source.size < place.offset) tables.#missing = source.size
    tables.#prefetch()
    return tables
  }

  get clusterBytes(): number {
    return this.#geometry.clusterBytes
  }

  /** Where the source should go on, for the L1 table or the first L2 table that lies past its end. */
  missing(): number | undefined {
    if (this.#missing !== undefined) return this.#missing
    for (let at = 0; at < this.#l1.byteLength; at += 8) {
      const place = hostOffset(this.#l1.getUint32(at), this.#l1.getUint32(at + 4))
      if (place >= this.#source.size) return place
    }
    return undefined
  }

  /** The slice that describes the guest offset; `undefined` where nothing there is allocated. */
  slice(offset: number): DataView | undefined | Promise<DataView> {
    const place = this.#place(offset)
    return place === 0 ? undefined : this.#slices.getOrMake(place, () => this.#read(place))
  }

  /** How many bytes from `offset`, at most `length`, no slice describes. */
  undescribed(offset: number, length: number): number {
    const { tableReach, sliceReach } = this.#geometry
    const end = offset + length
    let at = offset
    while (at < end && this.#place(at) === 0) {
      // Behind the last table is nothing, however large a snapshot says that its disk was.
      if (at >= (this.#l1.byteLength / 8) * tableReach) return length
      const reach = this.#table(Math.floor(at / tableReach)) === 0 ? tableReach : sliceReach
      at = (Math.floor(at / reach) + 1) * reach
    }
    return Math.min(at, end) - offset
  }

  /** A small disk has few tables, and all of them are wanted soon: they come together. */
  #prefetch(): void {
    if (!this.#source.prefetch) return
    const { clusterBytes } = this.#geometry
    let room = PREFETCHED_BYTES
    for (let at = 0; at < this.#l1.byteLength && room >= clusterBytes; at += 8) {
      // Not checked: whoever needs a table is told what is wrong with its place.
      const place = hostOffset(this.#l1.getUint32(at), this.#l1.getUint32(at + 4))
      if (place === 0 || place >= this.#source.size) continue
      this.#source.prefetch(place, Math.min(clusterBytes, this.#source.size - place))
      room -= clusterBytes
    }
  }

  /** Where the slice lies; 0 if there is none, or if it lies past the end, where all is zeroes. */
  #place(offset: number): number {
    const { tableReach, sliceReach, sliceBytes } = this.#geometry
    const table = this.#table(Math.floor(offset / tableReach))
    if (table === 0) return 0
    const place = table + Math.floor((offset % tableReach) / sliceReach) * sliceBytes
    return place < this.#source.size ? place : 0
  }

  #table(index: number): number {
    const at = index * 8
    if (at >= this.#l1.byteLength) return 0
    const lower = this.#l1.getUint32(at + 4)
    const table = hostOffset(this.#l1.getUint32(at), lower)
    if ((lower & 0xffff_fe00 & (this.#geometry.clusterBytes - 1)) !== 0)
      throw new ImageInvalid('an L2 table does not begin at a cluster', {
        where: { offset: table, l1_index: index },
      })
    return table
  }

  readonly #read = async (place: number): Promise<DataView> =>
    viewOf(await readClamped(this.#source, place, this.#geometry.sliceBytes))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
