/**
 * L1 and L2 table entries, without bigint: this is the hot path. An entry is taken as its upper
 * and lower 32 bits. QCOW2 specification, section "Cluster mapping".
 */

export type ClusterKind = 'standard' | 'zero' | 'unallocated' | 'compressed'

const COMPRESSED = 0x4000_0000 // bit 62
const COPIED = 0x8000_0000 // bit 63
const OFFSET_UPPER = 0x00ff_ffff // bits 32-55
const OFFSET_LOWER = 0xffff_fe00 // bits 9-31
const ZERO = 1

/** Bits 9-55: the offset of an L2 table or host cluster in bytes, inexact above 2^53. */
export function hostOffset(upper: number, lower: number): number {
  return (upper & OFFSET_UPPER) * 2 ** 32 + ((lower & OFFSET_LOWER) >>> 0)
}

/**
 * What an L2 entry without subclusters says. Host offset 0 is a place for data only in an external
 * data file, where bit 63 tells it from an unallocated cluster.
 */
export function clusterKind(upper: number, lower: number, dataFile: boolean): ClusterKind {
  if ((upper & COMPRESSED) !== 0) return 'compressed'
  if ((lower & ZERO) !== 0) return 'zero'
  if ((upper & OFFSET_UPPER) !== 0 || (lower & OFFSET_LOWER) !== 0) return 'standard'
  return dataFile && (upper & COPIED) !== 0 ? 'standard' : 'unallocated'
}

/** Section "Compressed Clusters Descriptor": where the compressed bytes of a cluster lie. */
export function compressedRange(
  upper: number,
  lower: number,
  clusterBits: number,
): { readonly offset: number; readonly length: number } {
  const sectorBits = clusterBits - 8
  const offsetBits = 62 - sectorBits // x in the specification, 49 to 61
  const upperBits = offsetBits - 32
  const offset = (upper & (2 ** upperBits - 1)) * 2 ** 32 + lower
  const sectors = (upper & 0x3fff_ffff) >>> upperBits
  return { offset, length: (sectors + 1) * 512 - (lower & 511) }
}
