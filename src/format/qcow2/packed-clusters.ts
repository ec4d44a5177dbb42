import type { BlockSource } from '../../block/source.ts'
import { ByteCache } from '../../block/byte-cache.ts'
import { ImageInvalid } from '../../errors.ts'
import { readClamped } from '../clamped.ts'
import { Slots } from '../slots.ts'
import type { PackedRange } from './clusters.ts'
import { DECOMPRESS, unzstdRun } from './decompress.ts'
import type { Compression } from './features.ts'

/** What decompression may hold in memory besides its results; it bounds how much runs at once. */
const DECODING_BYTES = 32 * 2 ** 20
const AT_ONCE = { least: 2, most: 32 }

/** The compressed clusters of an image: each is decompressed once while it is remembered. */
export class PackedClusters {
  readonly #source: BlockSource
  readonly #compression: Compression
  readonly #clusterBytes: number
  readonly #decoded: ByteCache<Uint8Array>
  readonly #slots: Slots

  constructor(
    source: BlockSource,
    compression: Compression,
    clusterBytes: number,
    decodedBytes: number,
  ) {
    this.#source = source
    this.#compression = compression
    this.#clusterBytes = clusterBytes
    this.#decoded = new ByteCache(decodedBytes)
    const room = Math.floor(DECODING_BYTES / (4 * clusterBytes))
    this.#slots = new Slots(Math.min(Math.max(room, AT_ONCE.least), AT_ONCE.most))
  }

  /** Fills `target` with what stands at `within` of the cluster. */
  readPart(range: PackedRange, within: number, target: Uint8Array): Promise<void> | undefined {
    const cluster = this.#decoded.getOrMake(range.offset, () =>
      this.#slots.run(() => this.#decode(range)),
    )
    const copy = (cluster: Uint8Array) =>
      target.set(cluster.subarray(within, within + target.length))
    if (cluster instanceof Promise) return cluster.then(copy)
    copy(cluster)
    return undefined
  }

  /**
   * Fills `target` with whole clusters that are packed one behind the other. They are not
   * remembered: whoever takes whole clusters has them now, and is on his way through the disk.
   */
  readWhole(ranges: readonly PackedRange[], target: Uint8Array): Promise<void> {
    return this.#slots.run(() => this.#decodeRun(ranges, target))
  }

  async #decode(range: PackedRange): Promise<Uint8Array> {
    const packed = await readClamped(this.#source, range.offset, range.length)
    const cluster = new Uint8Array(this.#clusterBytes)
    await this.#decompress(range, packed, cluster)
    return cluster
  }

  async #decodeRun(ranges: readonly PackedRange[], target: Uint8Array): Promise<void> {
    const first = ranges[0]!.offset
    const last = ranges.at(-1)!
    const packed = await readClamped(this.#source, first, last.offset + last.length - first)
    const starts = ranges.map(({ offset }) => offset - first)
    // A run that does not go well at once goes cluster by cluster, to find the one to blame.
    const quick =
      this.#compression === 'zstd' && (await unzstdRun(packed, starts, target).catch(() => false))
    if (quick) return
    const clusters = ranges.map((range, i) => {
      const cluster = target.subarray(i * this.#clusterBytes, (i + 1) * this.#clusterBytes)
      return this.#decompress(range, packed.subarray(starts[i], starts[i]! + range.length), cluster)
    })
    for (const result of await Promise.allSettled(clusters))
      if (result.status === 'rejected') throw result.reason
  }

  async #decompress(range: PackedRange, packed: Uint8Array, cluster: Uint8Array): Promise<void> {
    try {
      await DECOMPRESS[this.#compression](packed, cluster)
    } catch (cause) {
      throw new ImageInvalid(`a compressed cluster is not sound ${this.#compression} data`, {
        where: { ...range },
        cause,
      })
    }
  }
}
