import type { PackedRange, Run } from './clusters.ts'
import { compressedRange } from './descriptor.ts'
import type { Geometry } from './geometry.ts'

/** How much of the disk is decompressed as one piece: enough to pay for the way to a thread. */
export const RUN_BYTES = 256 * 1024
const COMPRESSED = 0x4000_0000

/**
 * The run that begins with the compressed cluster whose entry stands at `at`. Clusters that are
 * wanted whole and packed one behind the other, as QEMU writes them, are one run.
 */
export function compressedRun(
  slice: DataView,
  at: number,
  { clusterBytes, clusterBits, entryBytes }: Geometry,
  within: number,
  length: number,
): Run {
  const rangeAt = (at: number): PackedRange =>
    compressedRange(slice.getUint32(at), slice.getUint32(at + 4), clusterBits)
  let last = rangeAt(at)
  const packed = [last]
  if (within > 0 || length < 2 * clusterBytes)
    return { kind: 'compressed', length: Math.min(length, clusterBytes - within), within, packed }
  const most = Math.floor(Math.min(length, RUN_BYTES) / clusterBytes)
  for (let next = at + entryBytes; packed.length < most && next < slice.byteLength;) {
    if ((slice.getUint32(next) & COMPRESSED) === 0) break
    const range = rangeAt(next)
    if (range.offset <= last.offset || range.offset > last.offset + last.length) break
    packed.push(range)
    last = range
    next += entryBytes
  }
  return { kind: 'compressed', length: packed.length * clusterBytes, within, packed }
}
