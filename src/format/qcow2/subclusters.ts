import { type Entries, type Run, fail, isPlaced } from './clusters.ts'
import { compressedRun } from './compressed-run.ts'
import { clusterKind, hostOffset } from './descriptor.ts'
import type { Geometry } from './geometry.ts'

const SUBCLUSTERS = 32
const ENTRY_BYTES = 16
type Kind = 'standard' | 'zero' | 'unallocated'

/** Entries of 128 bits, 32 subclusters each. QCOW2 specification, "Extended L2 Entries". */
export class Subclusters implements Entries {
  readonly #geometry: Geometry
  readonly #bytes: number
  readonly #dataFile: boolean

  constructor(geometry: Geometry, dataFile: boolean) {
    this.#geometry = geometry
    this.#bytes = geometry.clusterBytes / SUBCLUSTERS
    this.#dataFile = dataFile
  }

  run(slice: DataView, offset: number, length: number): Run {
    const { clusterBytes, sliceReach } = this.#geometry
    const within = offset % clusterBytes
    const at = Math.floor((offset % sliceReach) / clusterBytes) * ENTRY_BYTES
    const upper = slice.getUint32(at)
    const lower = slice.getUint32(at + 4)
    if (clusterKind(upper, lower & ~1, this.#dataFile) === 'compressed') {
      if (this.#dataFile) fail('a compressed cluster with an external data file', offset - within)
      return compressedRun(slice, at, this.#geometry, within, length)
    }
    const first = Math.floor(within / this.#bytes)
    const kind = this.#kind(slice, at, offset - within, first)
    // In a data file, offset 0 is a place like any other.
    const placed = clusterKind(upper, lower & ~1, this.#dataFile) === 'standard'
    const host = placed ? hostOffset(upper, lower) : undefined
    const held = Math.min(length, this.#reach(slice, at, offset, length, kind, host) - within)
    if (host === undefined) return { kind: kind === 'zero' ? 'zero' : 'unallocated', length: held }
    return { kind, length: held, host: host + within }
  }

  /** Where the run ends, counted from the beginning of its first cluster. */
  #reach(
    slice: DataView,
    at: number,
    offset: number,
    length: number,
    kind: Kind,
    host: number | undefined,
  ): number {
    const { clusterBytes } = this.#geometry
    const within = offset % clusterBytes
    let reach = (Math.floor(within / this.#bytes) + 1) * this.#bytes
    for (; reach < within + length; reach += this.#bytes) {
      const cluster = Math.floor(reach / clusterBytes)
      const next = at + cluster * ENTRY_BYTES
      if (next >= slice.byteLength) break
      const inCluster = reach % clusterBytes
      const place = host === undefined ? undefined : host + cluster * clusterBytes
      if (inCluster === 0 && !this.#goesOn(slice, next, place)) break
      const guest = offset - within + cluster * clusterBytes
      if (this.#kind(slice, next, guest, inCluster / this.#bytes) !== kind) break
    }
    return reach
  }

  /** Whether the next cluster is in the next place, or has none either. */
  #goesOn(slice: DataView, at: number, host: number | undefined): boolean {
    const upper = slice.getUint32(at)
    const lower = slice.getUint32(at + 4)
    switch (clusterKind(upper, lower & ~1, this.#dataFile)) {
      case 'standard':
        return hostOffset(upper, lower) === host
      case 'unallocated':
        return host === undefined
      case 'compressed':
      case 'zero':
        return false
    }
  }

  #kind(slice: DataView, at: number, guest: number, subcluster: number): Kind {
    const upper = slice.getUint32(at)
    const lower = slice.getUint32(at + 4) & ~1
    const zeroes = slice.getUint32(at + 8)
    const allocated = slice.getUint32(at + 12)
    const bit = 2 ** subcluster
    if (clusterKind(upper, lower, this.#dataFile) === 'unallocated') {
      if (allocated !== 0) fail('a subcluster is allocated and has no place', guest)
    } else {
      if ((allocated & zeroes) !== 0) fail('a subcluster is both allocated and zero', guest)
      if (!isPlaced(upper, lower, guest, this.#geometry.clusterBytes, this.#dataFile))
        fail('a cluster is where it may not be', guest, hostOffset(upper, lower))
    }
    if ((zeroes & bit) !== 0) return 'zero'
    return (allocated & bit) !== 0 ? 'standard' : 'unallocated'
  }
}
