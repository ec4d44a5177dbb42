import { type Header, bytesPerTable, l2EntryBytes } from './header.ts'

/** L2 tables are read and remembered in slices of at most this many bytes. */
const SLICE_BYTES = 64 * 1024

/** The sizes that follow from a header: all powers of two. */
export interface Geometry {
  readonly clusterBits: number
  readonly clusterBytes: number
  /** Bytes of the virtual disk that one L2 table describes. */
  readonly tableReach: number
  readonly entryBytes: 8 | 16
  /** Bytes of an L2 table that are read at once. */
  readonly sliceBytes: number
  /** Bytes of the virtual disk that one slice describes. */
  readonly sliceReach: number
}

export function geometryOf(header: Header): Geometry {
  const clusterBytes = 2 ** header.cluster_bits
  const entryBytes = l2EntryBytes(header)
  const sliceBytes = Math.min(clusterBytes, SLICE_BYTES)
  return {
    clusterBits: header.cluster_bits,
    clusterBytes,
    tableReach: bytesPerTable(header),
    entryBytes,
    sliceBytes,
    sliceReach: (sliceBytes / entryBytes) * clusterBytes,
  }
}
