import type { BlockSource } from '../../../block/source.ts'
import { readClamped } from '../../clamped.ts'
import { readBitmaps } from '../bitmaps.ts'
import { luksPlace } from '../crypto/luks-header.ts'
import { isPlaced } from '../clusters.ts'
import { compressedRange, hostOffset } from '../descriptor.ts'
import { type Geometry, geometryOf } from '../geometry.ts'
import type { Qcow2Head } from '../head.ts'
import { readSnapshots } from '../snapshots.ts'
import type { L1Place } from '../tables.ts'
import { Stretches } from './stretches.ts'

/** What a stretch of the file is used for. Tables hold what the format needs to find the rest. */
export type Use =
  | 'header'
  | 'L1 table'
  | 'L2 table'
  | 'cluster'
  | 'compressed cluster'
  | 'external cluster'
  | 'refcount table'
  | 'refcount block'
  | 'snapshot table'
  | 'LUKS header'
  | 'bitmap'

/** A reference to a stretch of the file, and where it was found. */
export interface Reference {
  readonly use: Use
  readonly offset: number
  readonly length: number
  /** Where the entry stands that refers to it. */
  readonly entry: number
  /** The entry says that nothing else refers to it (bit 63); only the active tables know. */
  readonly copied?: boolean
  /** Reachable from the active L1 table, and not only from a snapshot. */
  readonly active?: boolean
  /** What is wrong with the entry itself. */
  readonly flaw?: string | undefined
}

const PIECE_BYTES = 64 * 1024
const L1_RESERVED = { upper: 0x7f00_0000, lower: 0x1ff }
const L2_RESERVED = { upper: 0x3f00_0000, lower: 0x1fe }
/** Version 2 has no zero clusters. */
const L2_RESERVED_BEFORE_3 = { ...L2_RESERVED, lower: 0x1ff }

/** Everything in an image that refers to a place in its file, a table at a time. */
export class Walk {
  readonly #source: BlockSource
  readonly #head: Qcow2Head
  readonly #geometry: Geometry

  constructor(source: BlockSource, head: Qcow2Head) {
    this.#source = source
    this.#head = head
    this.#geometry = geometryOf(head.header)
  }

  async *references(): AsyncGenerator<readonly Reference[]> {
    const { header, features, extensions } = this.#head
    yield [{ use: 'header', offset: 0, length: this.#geometry.clusterBytes, entry: 0 }]
    yield* this.active()
    yield* this.#snapshots()
    yield* this.#refcounts()
    if (header.crypt_method === 2) {
      const place = luksPlace(header, extensions)
      yield [{ use: 'LUKS header', ...place, entry: header.header_length }]
    }
    if (features.bitmaps && extensions.bitmaps) yield* this.#bitmaps(extensions.bitmaps)
  }

  /** What the active disk refers to. */
  active(): AsyncGenerator<readonly Reference[]> {
    const { l1_table_offset, l1_size } = this.#head.header
    return this.#tree({ offset: l1_table_offset, count: l1_size }, 40, true)
  }

  /** An L1 table, its L2 tables, and the clusters that they map. */
  async *#tree(l1: L1Place, entry: number, active: boolean): AsyncGenerator<readonly Reference[]> {
    if (l1.count === 0) return
    const length = this.#geometry.clusterBytes
    yield [{ use: 'L1 table', offset: l1.offset, length: l1.count * 8, entry, active }]
    const walked = new Set<number>()
    for await (const entries of this.#entries(l1.offset, l1.count))
      for (const { upper, lower, at } of entries) {
        const offset = hostOffset(upper, lower)
        const flaw = reserved(upper, lower, L1_RESERVED)
        if (offset === 0 && flaw === undefined) continue
        const again = walked.has(offset)
        const table = { use: 'L2 table' as const, offset, length, entry: at, active }
        const copied = upper >>> 31 === 1
        yield [{ ...table, copied, flaw: again ? 'the same L2 table again' : flaw }]
        if (again || offset === 0 || offset % length !== 0 || offset >= this.#source.size) continue
        walked.add(offset)
        const guest = ((at - l1.offset) / 8) * this.#geometry.tableReach
        yield await this.#clusters(offset, guest, active)
      }
  }

  /** What the L2 table refers to that describes the disk from `guest` on. */
  async #clusters(table: number, guest: number, active: boolean): Promise<Reference[]> {
    const { clusterBytes, entryBytes } = this.#geometry
    const bytes = await readClamped(this.#source, table, clusterBytes)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const references: Reference[] = []
    for (let at = 0; at < clusterBytes; at += entryBytes) {
      const bitmap = entryBytes === 16 ? view.getBigUint64(at + 8) : 0n
      const cluster = guest + (at / entryBytes) * clusterBytes
      const reference = this.#cluster(view.getUint32(at), view.getUint32(at + 4), bitmap, cluster)
      if (reference) references.push({ ...reference, entry: table + at, active })
    }
    return references
  }

  #cluster(
    upper: number,
    lower: number,
    bitmap: bigint,
    guest: number,
  ): Omit<Reference, 'entry'> | undefined {
    const { clusterBytes: length, clusterBits } = this.#geometry
    const { header, features } = this.#head
    const { dataFile } = features
    const copied = upper >>> 31 === 1
    if ((upper & 0x4000_0000) !== 0) {
      const range = compressedRange(upper, lower, clusterBits)
      return { use: 'compressed cluster', ...range, flaw: flawOfPacked(copied, bitmap, dataFile) }
    }
    const offset = hostOffset(upper, lower)
    const mask = header.version < 3 ? L2_RESERVED_BEFORE_3 : L2_RESERVED
    const flaw = reserved(upper, lower, mask) ?? flawOf(bitmap, offset !== 0 || dataFile)
    // A data file may have clusters at its beginning.
    if (offset === 0 && flaw === undefined && !(dataFile && copied)) return undefined
    if (!dataFile) return { use: 'cluster', offset, length, copied, flaw }
    const placed = isPlaced(upper, lower, guest, length, dataFile)
    const misplaced = placed ? undefined : 'a cluster of the data file is where it may not be'
    return { use: 'external cluster', offset, length, copied, flaw: flaw ?? misplaced }
  }

  async *#snapshots(): AsyncGenerator<readonly Reference[]> {
    const { header } = this.#head
    const snapshots = await readSnapshots(this.#source, header)
    const last = snapshots.at(-1)
    if (!last) return
    const offset = header.snapshots_offset
    yield [{ use: 'snapshot table', offset, length: last.end - offset, entry: 64 }]
    const walked = new Stretches()
    walked.add(header.l1_table_offset, header.l1_size * 8)
    for (const { l1, end } of snapshots) {
      const length = l1.count * 8
      if (walked.add(l1.offset, length)) yield* this.#tree(l1, end, false)
      // That it overlaps is what will be told. What is in it has been told, or thousands of snapshots
      // could make us read the same megabytes for each of them.
      else yield [{ use: 'L1 table', offset: l1.offset, length, entry: end, active: false }]
    }
  }

  async *#refcounts(): AsyncGenerator<readonly Reference[]> {
    const { refcount_table_offset: offset, refcount_table_clusters } = this.#head.header
    const { clusterBytes } = this.#geometry
    const length = refcount_table_clusters * clusterBytes
    yield [{ use: 'refcount table', offset, length, entry: 48 }]
    for await (const entries of this.#entries(offset, length / 8))
      yield entries.map(({ upper, lower, at }) => ({
        use: 'refcount block' as const,
        offset: upper * 2 ** 32 + ((lower & 0xffff_fe00) >>> 0),
        length: clusterBytes,
        entry: at,
        flaw: reserved(upper, lower, { upper: 0, lower: 0x1ff }),
      }))
  }

  async *#bitmaps(
    extension: NonNullable<Qcow2Head['extensions']['bitmaps']>,
  ): AsyncGenerator<readonly Reference[]> {
    const { bitmap_directory_offset: offset, bitmap_directory_size: length } = extension
    const { clusterBytes } = this.#geometry
    yield [{ use: 'bitmap', offset, length, entry: this.#head.header.header_length }]
    for (const { table } of await readBitmaps(this.#source, extension)) {
      if (table.count === 0) continue
      yield [{ use: 'bitmap', offset: table.offset, length: table.count * 8, entry: offset }]
      for await (const entries of this.#entries(table.offset, table.count))
        yield entries
          .map(({ upper, lower, at }) => ({ offset: hostOffset(upper, lower), entry: at }))
          .filter(({ offset }) => offset !== 0)
          .map((place) => ({ use: 'bitmap' as const, length: clusterBytes, ...place }))
    }
  }

  /** The entries of a table of 64 bits each that are not 0, a piece at a time. */
  async *#entries(
    offset: number,
    count: number,
  ): AsyncGenerator<readonly { upper: number; lower: number; at: number }[]> {
    const end = Math.min(offset + count * 8, this.#source.size)
    for (let begin = offset; begin < end; begin += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, Math.ceil((end - begin) / 8) * 8)
      const bytes = await readClamped(this.#source, begin, length)
      const view = new DataView(bytes.buffer, bytes.byteOffset, length)
      const entries: { upper: number; lower: number; at: number }[] = []
      for (let at = 0; at < length; at += 8) {
        const upper = view.getUint32(at)
        const lower = view.getUint32(at + 4)
        if (upper !== 0 || lower !== 0) entries.push({ upper, lower, at: begin + at })
      }
      yield entries
    }
  }
}

function reserved(upper: number, lower: number, mask: typeof L1_RESERVED): string | undefined {
  const set = (upper & mask.upper) !== 0 || (lower & mask.lower) !== 0
  return set ? 'reserved bits are set' : undefined
}

/** What else the entry of a compressed cluster may not say. */
function flawOfPacked(copied: boolean, bitmap: bigint, dataFile: boolean): string | undefined {
  if (copied) return 'bit 63 of a compressed cluster is set'
  if (bitmap !== 0n) return 'a compressed cluster has subclusters'
  return dataFile ? 'a compressed cluster with an external data file' : undefined
}

/** Section "Extended L2 Entries": what a bitmap of subclusters may not say. */
function flawOf(bitmap: bigint, placed: boolean): string | undefined {
  const allocated = bitmap & 0xffff_ffffn
  if ((allocated & (bitmap >> 32n)) !== 0n) return 'a subcluster is both allocated and zero'
  return allocated !== 0n && !placed ? 'a subcluster is allocated and has no place' : undefined
}
