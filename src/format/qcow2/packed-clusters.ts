import { ByteCache } from '../../block/byte-cache.ts'
import { settled } from '../../block/settled.ts'
import { Slots } from '../../block/slots.ts'
import type { BlockSource, Completion } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import { fillClamped } from '../clamped.ts'
import { COPIED_WHOLE } from '../cut-off.ts'
import type { PackedRange } from './clusters.ts'
import { RUN_BYTES } from './compressed-run.ts'
import { type Decompress, decompressor, isDamage } from './decompress.ts'
import type { Compression } from './features.ts'
import { SeenOnce } from './seen-once.ts'

/** What decompression may hold in memory besides its results; it bounds how much runs at once. */
const DECODING_BYTES = 32 * 2 ** 20
/** What comes later than this in a cluster costs about as much as all of it. */
const WORTH_STOPPING = 0.75
const AT_ONCE = { least: 2, most: 32 }

/** The compressed clusters of an image: each is decompressed once while it is remembered. */
export class PackedClusters {
  readonly #source: BlockSource
  readonly #compression: Compression
  readonly #clusterBytes: number
  readonly #decoded: ByteCache<Uint8Array>
  readonly #decompress: Decompress
  readonly #slots: Slots
  readonly #atOnce: number
  /** Clusters of which all or the beginning was read, as many as would be remembered. */
  readonly #seen: SeenOnce
  /** What packed bytes were read into before, one for each slot at most. */
  readonly #buffers: Uint8Array[] = []
  /** What clusters that are no longer remembered were decompressed into. */
  readonly #dropped: Uint8Array[] = []

  constructor(
    source: BlockSource,
    compression: Compression,
    clusterBytes: number,
    decodedBytes: number,
  ) {
    this.#source = source
    this.#compression = compression
    this.#clusterBytes = clusterBytes
    this.#decoded = new ByteCache(decodedBytes, (_, cluster) => this.#reuse(cluster))
    this.#decompress = decompressor(compression, clusterBytes, RUN_BYTES)
    this.#seen = new SeenOnce(Math.max(1, Math.floor(decodedBytes / clusterBytes)))
    const room = Math.floor(DECODING_BYTES / (4 * Math.max(clusterBytes, RUN_BYTES)))
    this.#atOnce = Math.min(Math.max(room, AT_ONCE.least), AT_ONCE.most)
    this.#slots = new Slots(this.#atOnce)
  }

  /** Fills `target` with what stands at `within` of the cluster. */
  readPart(range: PackedRange, within: number, target: Uint8Array): Completion {
    if (target.length === this.#clusterBytes && !this.#decoded.has(range.offset))
      return this.readWhole([range], target)
    const end = within + target.length
    if (end <= this.#clusterBytes * WORTH_STOPPING && this.#isNew(range.offset))
      return this.#readBeginning(range, within, target)
    return this.#readRemembered(range, within, target)
  }

  /**
   * Fills `target` with whole clusters that are packed one behind the other. They are not remembered
   * the first time: whoever takes whole clusters has them now, and is on his way through the disk.
   */
  readWhole(ranges: readonly PackedRange[], target: Uint8Array): Completion {
    const isKnown = ranges.map(
      ({ offset }) => this.#decoded.has(offset) || this.#seen.again(offset),
    )
    if (!isKnown.includes(true)) return this.#readNew(ranges, target)
    const reading = ranges.map((range, i) => {
      const part = target.subarray(i * this.#clusterBytes, (i + 1) * this.#clusterBytes)
      return isKnown[i] ? this.#readRemembered(range, 0, part) : this.#readNew([range], part)
    })
    return reading.every((each) => each === undefined) ? undefined : settled(reading)
  }

  /** Out of a cluster that is remembered, or is from now on. */
  #readRemembered(range: PackedRange, within: number, target: Uint8Array): Completion {
    const cluster = this.#decoded.getOrMake(range.offset, () => this.#decode(range))
    const copy = (cluster: Uint8Array) =>
      target.set(cluster.subarray(within, within + target.length))
    if (cluster instanceof Promise) return cluster.then(copy)
    copy(cluster)
    return undefined
  }

  #readNew(ranges: readonly PackedRange[], target: Uint8Array): Promise<void> {
    const first = ranges[0]!.offset
    const last = ranges.at(-1)!
    return this.#withPacked(first, last.offset + last.length - first, (packed) =>
      this.#decodeRun(ranges, packed, target),
    )
  }

  /** The packed bytes of clusters one behind the other will be wanted; they stay packed. */
  prefetch(ranges: readonly PackedRange[]): void {
    const first = ranges[0]!.offset
    const last = ranges.at(-1)!
    const length = Math.min(last.offset + last.length, this.#source.size) - first
    if (length > 0) this.#source.prefetch?.(first, length)
  }

  /** A cluster that is read for the first time may never be read again. */
  #isNew(offset: number): boolean {
    return this.#decompress.isProgressive && !this.#decoded.has(offset) && !this.#seen.again(offset)
  }

  /** Decompresses no more than what is asked for, and does not remember it. */
  #readBeginning(range: PackedRange, within: number, target: Uint8Array): Promise<void> {
    return this.#withPacked(range.offset, range.length, async (packed) => {
      const scratch = this.#dropped.pop() ?? new Uint8Array(this.#clusterBytes)
      const beginning = scratch.subarray(0, within + target.length)
      await this.#decodeOne(range, packed, beginning)
      target.set(beginning.subarray(within))
      this.#keep(scratch)
    })
  }

  #decode(range: PackedRange): Promise<Uint8Array> {
    return this.#withPacked(range.offset, range.length, async (packed) => {
      // Only now: those that wait for their turn may be many.
      const cluster = this.#dropped.pop() ?? new Uint8Array(this.#clusterBytes)
      await this.#decodeOne(range, packed, cluster)
      return cluster
    })
  }

  /**
   * Memory that was garbage would be collected by walking the whole heap, a thousand times a minute.
   * Those who waited for the cluster take it before the next turn of the event loop.
   */
  #reuse(cluster: Uint8Array): void {
    setImmediate(() => this.#keep(cluster))
  }

  /** As many as are needed at once, and as many again, which come back only after others were begun. */
  #keep(cluster: Uint8Array): void {
    if (this.#dropped.length < 2 * this.#atOnce) this.#dropped.push(cluster)
  }

  async #decodeRun(
    ranges: readonly PackedRange[],
    packed: Uint8Array,
    target: Uint8Array,
  ): Promise<void> {
    const starts = ranges.map(({ offset }) => offset - ranges[0]!.offset)
    if (ranges.length > 1 && (await this.#decompress.run(packed, starts, target))) return
    // Cluster by cluster, which also finds the one to blame.
    const clusters = ranges.map((range, i) => {
      const cluster = target.subarray(i * this.#clusterBytes, (i + 1) * this.#clusterBytes)
      return this.#decodeOne(range, packed.subarray(starts[i], starts[i]! + range.length), cluster)
    })
    await settled(clusters)
  }

  async #decodeOne(range: PackedRange, packed: Uint8Array, cluster: Uint8Array): Promise<void> {
    try {
      // The next request of a client that waits for each answer comes only after this one.
      const alone = this.#slots.taken === 1
      await this.#decompress.cluster(packed, cluster, alone)
    } catch (cause) {
      if (!isDamage(cause)) throw cause
      throw new ImageInvalid(`a compressed cluster is not sound ${this.#compression} data`, {
        where: { ...range },
        // Its last sector may be there in part.
        ...(range.offset + range.length > this.#source.size && { advice: COPIED_WHOLE }),
        cause,
      })
    }
  }

  /** Lends the packed bytes at `offset` to `use`, in a buffer that others had before. */
  #withPacked<T>(
    offset: number,
    length: number,
    use: (packed: Uint8Array) => Promise<T>,
  ): Promise<T> {
    return this.#slots.run(async () => {
      const kept = this.#buffers.pop()
      const buffer =
        kept && kept.length >= length ? kept : new Uint8Array(Math.max(length, RUN_BYTES))
      const packed = buffer.subarray(0, length)
      await fillClamped(this.#source, packed, offset)
      const result = await use(packed)
      // Only now: after a failure someone may still be at it.
      this.#buffers.push(buffer)
      return result
    })
  }
}
