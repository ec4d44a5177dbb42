import { SECTOR } from '../overlay.ts'
import type { Entry } from './cluster-map.ts'
import { CLUSTER_BYTES } from './layout.ts'

/** Ranges of a disk, cut at its clusters, and which sectors of a cluster its overlay owns. */

/** What of a range lies in one cluster. */
export interface Part {
  readonly cluster: number
  /** Of the disk, and from the beginning of the cluster and of the range. */
  readonly offset: number
  readonly inside: number
  readonly from: number
  readonly length: number
}

export function partsOf(offset: number, length: number): Part[] {
  const parts: Part[] = []
  const end = offset + length
  for (let at = offset; at < end;) {
    const cluster = Math.floor(at / CLUSTER_BYTES)
    const next = Math.min(end, (cluster + 1) * CLUSTER_BYTES)
    const inside = at - cluster * CLUSTER_BYTES
    parts.push({ cluster, offset: at, inside, from: at - offset, length: next - at })
    at = next
  }
  return parts
}

function ownsSector(bits: Uint8Array, sector: number): boolean {
  return (bits[sector >> 3]! & (1 << (sector & 7))) !== 0
}

function sectorsOf({ inside, length }: Part): readonly [first: number, end: number] {
  return [Math.floor(inside / SECTOR), Math.ceil((inside + length) / SECTOR)]
}

export function ownsAll(bits: Uint8Array, part: Part): boolean {
  const [first, end] = sectorsOf(part)
  for (let sector = first; sector < end; sector++) if (!ownsSector(bits, sector)) return false
  return true
}

export function own(bits: Uint8Array, part: Part): void {
  const [first, end] = sectorsOf(part)
  for (let sector = first; sector < end; sector++) bits[sector >> 3]! |= 1 << (sector & 7)
}

/** Sectors with the same owner; `from` counts from the beginning of the part. */
export interface Run {
  readonly owned: boolean
  readonly from: number
  readonly length: number
}

export function* runsOf(part: Part, entry: Entry | undefined): Generator<Run> {
  if (entry === undefined) {
    yield { owned: false, from: 0, length: part.length }
    return
  }
  const [first, end] = sectorsOf(part)
  const start = part.inside
  for (let sector = first; sector < end;) {
    const owned = ownsSector(entry.bits, sector)
    let next = sector + 1
    while (next < end && ownsSector(entry.bits, next) === owned) next++
    const from = Math.max(sector * SECTOR, start) - start
    const to = Math.min(next * SECTOR, start + part.length) - start
    yield { owned, from, length: to - from }
    sector = next
  }
}
