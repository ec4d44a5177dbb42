import { ByteCache } from '../../block/byte-cache.ts'
import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import { readClamped } from '../clamped.ts'

import { Slots } from '../slots.ts'
import { DECOMPRESS } from './decompress.ts'
import type { Compression } from './features.ts'

/** What decompression may hold in memory besides its results; it bounds how many run at once. */
const DECODING_BYTES = 32 * 2 ** 20
const DECODING_AT_ONCE = { least: 2, most: 32 }

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
    this.#slots = new Slots(Math.min(Math.max(room, DECODING_AT_ONCE.least), DECODING_AT_ONCE.most))
  }

  /** The cluster whose compressed bytes are the `length` bytes at `offset` of the source. */
  cluster(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    return this.#decoded.getOrMake(offset, () =>
      this.#slots.run(() => this.#decode(offset, length)),
    )
  }

  async #decode(offset: number, length: number): Promise<Uint8Array> {
    const packed = await readClamped(this.#source, offset, length)
    try {
      return await DECOMPRESS[this.#compression](packed, this.#clusterBytes)
    } catch (cause) {
      throw new ImageInvalid(`a compressed cluster is not sound ${this.#compression} data`, {
        where: { offset, length },
        cause,
      })
    }
  }
}
