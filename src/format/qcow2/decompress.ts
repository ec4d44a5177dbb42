import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Compression } from './features.ts'
import { zstdDecoders } from './zstd-decoders.ts'
import { zstdFrame } from './zstd-frame.ts'

/**
 * Decompresses one cluster: exactly `clusterBytes` of output, from `packed`, which usually goes on
 * with bytes that are not ours. Runs on libuv's threads. Rejects with any error where the bytes
 * do not decompress; the caller knows where they came from.
 */
export type Decompress = (packed: Uint8Array, clusterBytes: number) => Promise<Uint8Array>

export const DECOMPRESS: Readonly<Record<Compression, Decompress>> = {
  zlib: inflateCluster,
  zstd: unzstdCluster,
}

const inflateRaw = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.inflateRaw)

/** Room behind the cluster, so that the decoder ends in one step and sees an output too long. */
const SLACK_BYTES = 64

async function inflateCluster(packed: Uint8Array, clusterBytes: number): Promise<Uint8Array> {
  const options = {
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    chunkSize: clusterBytes + SLACK_BYTES,
    maxOutputLength: clusterBytes,
  }
  try {
    return whole(await inflateRaw(packed, options), clusterBytes)
  } catch (error) {
    if (!isTooLong(error)) throw error
    return whole(await inflateBeginning(packed, clusterBytes), clusterBytes)
  }
}

/** "Decompression stops when it has produced a cluster of data": the stream may hold more. */
async function inflateBeginning(packed: Uint8Array, clusterBytes: number): Promise<Uint8Array> {
  const stream = zlib.createInflateRaw({
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    chunkSize: Math.max(clusterBytes, zlib.constants.Z_MIN_CHUNK),
  })
  stream.end(packed)
  for await (const chunk of stream) if (chunk instanceof Uint8Array) return chunk
  return new Uint8Array(0)
}

/** A cluster may be several frames, one after the other; together they fill it exactly. */
async function unzstdCluster(packed: Uint8Array, clusterBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let filled = 0
  for (let at = 0; filled < clusterBytes;) {
    const frame = zstdFrame(packed, at)
    if (!frame) throw new RangeError(`no whole zstd frame at byte ${at}`)
    const room = clusterBytes - filled
    if ((frame.contentBytes ?? 0) > room) throw new RangeError('more than a cluster')
    if (!frame.skippable) {
      lowerWindow(packed, frame.windowAt, clusterBytes)
      const part = await zstdDecoders.decode(packed.subarray(at, at + frame.length), room)
      parts.push(part)
      filled += part.length
    }
    at += frame.length
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

/** No reference reaches back further than the output is long, so no larger window is needed. */
function lowerWindow(packed: Uint8Array, at: number | undefined, clusterBytes: number): void {
  if (at === undefined) return
  const exponent = Math.max(Math.log2(clusterBytes), BLOCK_BITS) - 10
  if (packed[at]! >> 3 > exponent) packed[at] = exponent << 3
}
/** A block holds up to 128 KiB, or a window if that is less. */
const BLOCK_BITS = 17

function whole(cluster: Uint8Array, clusterBytes: number): Uint8Array {
  if (cluster.length < clusterBytes)
    throw new RangeError(`${cluster.length} bytes instead of ${clusterBytes}`)
  return cluster.length === clusterBytes ? cluster : cluster.subarray(0, clusterBytes)
}

function isTooLong(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
}
