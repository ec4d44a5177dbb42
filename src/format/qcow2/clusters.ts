import { ImageInvalid } from '../../errors.ts'
import { compressedRun } from './compressed-run.ts'
import { type ClusterKind, clusterKind, hostOffset } from './descriptor.ts'
import type { Geometry } from './geometry.ts'

/** What the L2 entries from a guest offset on say: the longest run of one kind, in one piece. */
export type Run =
  /** The bytes stand at `host`. */
  | { readonly kind: 'standard'; readonly length: number; readonly host: number }
  /** `host` is allocated for the bytes, but not read. */
  | { readonly kind: 'zero' | 'unallocated'; readonly length: number; readonly host?: number }
  /** The bytes stand at `within` of what these unpack to: a cluster each, several only if whole. */
  | {
      readonly kind: 'compressed'
      readonly length: number
      readonly within: number
      readonly packed: readonly PackedRange[]
    }

/** Where the compressed bytes of a cluster lie. */
export interface PackedRange {
  readonly offset: number
  readonly length: number
}

/** Reads the entries of a slice of an L2 table. */
export interface Entries {
  run(slice: DataView, offset: number, length: number): Run
}

/** Entries without subclusters. QCOW2 specification, section "Cluster mapping". */
export class Clusters implements Entries {
  readonly #geometry: Geometry
  readonly #version: number
  readonly #dataFile: boolean

  constructor(geometry: Geometry, version: number, dataFile: boolean) {
    this.#geometry = geometry
    this.#version = version
    this.#dataFile = dataFile
  }

  run(slice: DataView, offset: number, length: number): Run {
    const { clusterBytes, sliceReach } = this.#geometry
    const at = Math.floor((offset % sliceReach) / clusterBytes) * 8
    const upper = slice.getUint32(at)
    const lower = slice.getUint32(at + 4)
    const within = offset % clusterBytes
    const kind = clusterKind(upper, lower, this.#dataFile)
    this.#check(kind, upper, lower, offset - within)
    if (kind === 'compressed') return compressedRun(slice, at, this.#geometry, within, length)
    const first = hostOffset(upper, lower)
    const wanted = within + length
    let reach = clusterBytes
    for (let next = at + 8; reach < wanted && next < slice.byteLength; next += 8) {
      const host = first === 0 && kind !== 'standard' ? 0 : first + reach
      if (!this.#continues(slice, next, kind, host)) break
      reach += clusterBytes
    }
    const held = Math.min(length, reach - within)
    if (kind === 'standard') return { kind, length: held, host: first + within }
    return first === 0 ? { kind, length: held } : { kind, length: held, host: first + within }
  }

  /** Whether the next entry goes on in the same way, in the next place. */
  #continues(slice: DataView, at: number, kind: ClusterKind, host: number): boolean {
    const upper = slice.getUint32(at)
    const lower = slice.getUint32(at + 4)
    return clusterKind(upper, lower, this.#dataFile) === kind && hostOffset(upper, lower) === host
  }

  #check(kind: ClusterKind, upper: number, lower: number, guest: number): void {
    if (kind === 'unallocated') return
    if (kind === 'compressed') {
      if (this.#dataFile) fail('a compressed cluster with an external data file', guest)
      return
    }
    if (kind === 'zero' && this.#version < 3) fail('a zero cluster in a version 2 image', guest)
    if (!this.#isPlaced(upper, lower, guest))
      fail('a cluster is where it may not be', guest, hostOffset(upper, lower))
  }

  #isPlaced(upper: number, lower: number, guest: number): boolean {
    return isPlaced(upper, lower, guest, this.#geometry.clusterBytes, this.#dataFile)
  }
}

/** A cluster begins at a multiple of its size; in a data file, just where the guest sees it. */
export function isPlaced(
  upper: number,
  lower: number,
  guest: number,
  clusterBytes: number,
  dataFile: boolean,
): boolean {
  if ((lower & 0xffff_fe00 & (clusterBytes - 1)) !== 0) return false
  if (!dataFile) return true
  const host = hostOffset(upper, lower)
  return host === guest || (host === 0 && (lower & ZERO) !== 0)
}

const ZERO = 1

export function fail(what: string, guest: number, host?: number): never {
  const where = host === undefined ? { guest } : { guest, offset: host }
  throw new ImageInvalid(`the L2 table is wrong: ${what}`, { where })
}
