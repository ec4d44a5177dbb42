import { Decoders } from './decoders.ts'
import type { Compression } from './features.ts'
import { type ZstdFrame, zstdFrame } from './zstd-frame.ts'

/**
 * Decompresses the clusters of an image, most of them on libuv's threads. Rejects where the
 * bytes do not decompress to whole clusters (`isDamage`); the caller knows where they came from.
 */
export interface Decompress {
  /** Whether the beginning of a cluster costs less than all of it. */
  readonly isProgressive: boolean
  /**
   * Fills `cluster`, or the beginning of one where that is progressive, from `packed`, which usually
   * goes on with bytes that are not ours.
   *
   * @param alone whether nothing else is waiting to be decompressed, so that no thread is worth waking
   */
  cluster(packed: Uint8Array, cluster: Uint8Array, alone: boolean): Promise<void>
  /**
   * Fills `clusters` at once from what stands at `starts`, a cluster each: one task for a thread
   * instead of many. Resolves to false where that cannot be done; they may hold anything then.
   */
  run(packed: Uint8Array, starts: readonly number[], clusters: Uint8Array): Promise<boolean>
}

/** Whether the bytes are to blame for a failed decompression, not the memory that it wanted, nor us. */
export function isDamage(error: unknown): boolean {
  if (error instanceof Unsound) return true
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return DAMAGE.test(code)
}
/** What came out is no cluster. */
class Unsound extends Error {}
const DAMAGE = /^Z_(?:DATA|BUF)_ERROR$|^Z_NEED_DICT$|^ZSTD_error_(?!memory_allocation)/

/** `runBytes` is the longest run that is decompressed at once. */
export function decompressor(
  compression: Compression,
  clusterBytes: number,
  runBytes: number,
): Decompress {
  return compression === 'zlib'
    ? new Inflate(new Decoders('zlib', clusterBytes))
    : new Unzstd(clusterBytes, runBytes)
}

class Inflate implements Decompress {
  readonly isProgressive = true
  readonly #decoders: Decoders

  constructor(decoders: Decoders) {
    this.#decoders = decoders
  }

  /** "Decompression stops when it has produced a cluster of data": the stream may hold more. */
  async cluster(packed: Uint8Array, cluster: Uint8Array, alone: boolean): Promise<void> {
    const length = await this.#decoders.decode(packed, cluster, alone)
    if (length < cluster.length) throw new Unsound(`${length} bytes instead of a cluster`)
  }

  /** Nothing but inflating tells where a stream ends and the next begins. */
  async run(): Promise<boolean> {
    return false
  }
}

class Unzstd implements Decompress {
  /** A block of zstd comes out as a whole, and holds more than most clusters. */
  readonly isProgressive = false
  /** For frames of which nobody knows what is in them; QEMU writes none. */
  readonly #unsized: Decoders
  readonly #sized: Decoders

  constructor(clusterBytes: number, runBytes: number) {
    this.#unsized = new Decoders('zstd', clusterBytes)
    this.#sized = new Decoders('sized zstd', runBytes)
  }

  /** A cluster may be several frames, one after the other; together they fill it exactly. */
  async cluster(packed: Uint8Array, cluster: Uint8Array, alone: boolean): Promise<void> {
    let filled = 0
    for (let at = 0; filled < cluster.length;) {
      const frame = zstdFrame(packed, at)
      if (!frame) throw new Unsound(`no whole zstd frame at byte ${at}`)
      lowerWindow(packed, frame, cluster.length)
      const bytes = packed.subarray(at, at + frame.length)
      const rest = cluster.subarray(filled)
      if (!frame.skippable) filled += await this.#decode(frame, bytes, rest, alone)
      if (filled > cluster.length) throw new Unsound('more than a cluster')
      at += frame.length
    }
  }

  /** Returns how many bytes the frame holds, some more than fit if they are too many. */
  async #decode(
    { contentBytes }: ZstdFrame,
    bytes: Uint8Array,
    into: Uint8Array,
    alone: boolean,
  ): Promise<number> {
    if (contentBytes === undefined) return this.#unsized.decode(bytes, into, false)
    if (contentBytes === 0 || contentBytes > into.length) return contentBytes
    const length = await this.#sized.decode(bytes, into.subarray(0, contentBytes), alone)
    if (length < contentBytes) throw new Unsound('a frame holds less than it says')
    return length
  }

  async run(packed: Uint8Array, starts: readonly number[], clusters: Uint8Array): Promise<boolean> {
    const clusterBytes = clusters.length / starts.length
    let end = starts[0]!
    for (const start of starts) {
      const frame = zstdFrame(packed, start)
      if (start !== end || frame?.contentBytes !== clusterBytes) return false
      lowerWindow(packed, frame, clusterBytes)
      end += frame.length
    }
    const frames = packed.subarray(starts[0]!, end)
    const filled = await this.#sized.decode(frames, clusters, false).catch(() => undefined)
    return filled === clusters.length
  }
}

/** No reference reaches back further than the output is long, so no larger window is needed. */
function lowerWindow(packed: Uint8Array, { windowAt }: ZstdFrame, clusterBytes: number): void {
  if (windowAt === undefined) return
  const exponent = Math.max(Math.log2(clusterBytes), BLOCK_BITS) - 10
  if (packed[windowAt]! >> 3 > exponent) packed[windowAt] = exponent << 3
}
/** A block holds up to 128 KiB, or a window if that is less. */
const BLOCK_BITS = 17
