import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Compression } from './features.ts'
import { zstdDecoders } from './zstd-decoders.ts'
import { type ZstdFrame, zstdFrame } from './zstd-frame.ts'

/**
 * Fills `cluster` from `packed`, which usually goes on with bytes that are not ours. Runs on
 * libuv's threads. Rejects with any error where the bytes do not decompress to a whole cluster;
 * the caller knows where they came from.
 */
export type Decompress = (packed: Uint8Array, cluster: Uint8Array) => Promise<void>

export const DECOMPRESS: Readonly<Record<Compression, Decompress>> = {
  zlib: inflateCluster,
  zstd: unzstdCluster,
}

const inflateRaw = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.inflateRaw)

/** Room behind the cluster, so that the decoder ends in one step and sees an output too long. */
const SLACK_BYTES = 64

async function inflateCluster(packed: Uint8Array, cluster: Uint8Array): Promise<void> {
  const options = {
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    chunkSize: cluster.length + SLACK_BYTES,
    maxOutputLength: cluster.length,
  }
  try {
    fill(cluster, await inflateRaw(packed, options))
  } catch (error) {
    if (!isTooLong(error)) throw error
    fill(cluster, await inflateBeginning(packed, cluster.length))
  }
}

/** "Decompression stops when it has produced a cluster of data": the stream may hold more. */
async function inflateBeginning(packed: Uint8Array, clusterBytes: number): Promise<Uint8Array> {
  const stream = zlib.createInflateRaw({
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    chunkSize: clusterBytes,
  })
  stream.end(packed)
  for await (const chunk of stream) if (chunk instanceof Uint8Array) return chunk
  return new Uint8Array(0)
}

/** A cluster may be several frames, one after the other; together they fill it exactly. */
async function unzstdCluster(packed: Uint8Array, cluster: Uint8Array): Promise<void> {
  let filled = 0
  for (let at = 0; filled < cluster.length;) {
    const frame = zstdFrame(packed, at)
    if (!frame) throw new RangeError(`no whole zstd frame at byte ${at}`)
    const room = cluster.subarray(filled)
    if ((frame.contentBytes ?? 0) > room.length) throw new RangeError('more than a cluster')
    lowerWindow(packed, frame, cluster.length)
    if (!frame.skippable)
      filled += await zstdDecoders.decode(packed.subarray(at, at + frame.length), room)
    at += frame.length
  }
}

/**
 * Fills `clusters` at once from frames that stand one behind the other, a cluster each: one task
 * for a thread instead of many. Resolves to false, and has done nothing, if they do not.
 */
export async function unzstdRun(
  packed: Uint8Array,
  starts: readonly number[],
  clusters: Uint8Array,
): Promise<boolean> {
  const clusterBytes = clusters.length / starts.length
  let end = starts[0]!
  for (const start of starts) {
    const frame = zstdFrame(packed, start)
    if (start !== end || frame?.contentBytes !== clusterBytes) return false
    lowerWindow(packed, frame, clusterBytes)
    end += frame.length
  }
  const filled = await zstdDecoders.decode(packed.subarray(starts[0]!, end), clusters)
  return filled === clusters.length
}

/** No reference reaches back further than the output is long, so no larger window is needed. */
function lowerWindow(packed: Uint8Array, { windowAt }: ZstdFrame, clusterBytes: number): void {
  if (windowAt === undefined) return
  const exponent = Math.max(Math.log2(clusterBytes), BLOCK_BITS) - 10
  if (packed[windowAt]! >> 3 > exponent) packed[windowAt] = exponent << 3
}
/** A block holds up to 128 KiB, or a window if that is less. */
const BLOCK_BITS = 17

function fill(cluster: Uint8Array, bytes: Uint8Array): void {
  if (bytes.length < cluster.length)
    throw new RangeError(`${bytes.length} bytes instead of ${cluster.length}`)
  cluster.set(bytes.length === cluster.length ? bytes : bytes.subarray(0, cluster.length))
}

function isTooLong(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
}
