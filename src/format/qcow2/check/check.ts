import type { BlockSource } from '../../../block/source.ts'
import type { CheckOptions, CheckReport } from '../../check-report.ts'
import { refuseUnknownFeatures } from '../features.ts'
import { type Qcow2Head, readHead } from '../head.ts'
import { Claims } from './claims.ts'
import { Findings } from './findings.ts'
import { Refcounts } from './refcounts.ts'
import { type Reference, Walk } from './walk.ts'

/**
 * How many clusters are looked at in one pass over the tables: at 5 bytes each this bounds the
 * memory to 40 MiB. With clusters of 64 KiB, a file of 512 GiB takes one pass.
 */
const WINDOW_CLUSTERS = 8 * 2 ** 20

/** In a data file nothing is shared, so that the bit is always set there. */
const WRONG_COPIED = 'bit 63 of the entry of a cluster is wrong'

/** Verifies everything that a reader can: that entries are sound and claim the file only once. */
export async function checkQcow2(source: BlockSource, options: CheckOptions): Promise<CheckReport> {
  const head = await readHead(source)
  refuseUnknownFeatures(head.header, head.extensions.features)
  const check = new Check(source, head)
  const clusters = Math.ceil(source.size / check.clusterBytes)
  for (let first = 0; first < clusters; first += WINDOW_CLUSTERS) {
    const count = Math.min(WINDOW_CLUSTERS, clusters - first)
    const claims = new Claims(first, count, check.clusterBytes)
    await check.claim(claims)
    if (options.refcounts) await check.compare(claims)
  }
  return check.findings.report(Math.ceil(head.header.size / check.clusterBytes))
}

class Check {
  readonly findings = new Findings()
  readonly clusterBytes: number
  readonly #source: BlockSource
  readonly #head: Qcow2Head
  readonly #walk: Walk

  constructor(source: BlockSource, head: Qcow2Head) {
    this.clusterBytes = 2 ** head.header.cluster_bits
    this.#source = source
    this.#head = head
    this.#walk = new Walk(source, head)
  }

  /** Notes every reference into the window; what is wrong with an entry is told only once. */
  async claim(claims: Claims): Promise<void> {
    const once = claims.first === 0
    for await (const references of this.#walk.references()) {
      if (once) this.#count(references)
      for (const reference of references) {
        if (once) this.#verify(reference)
        if (this.#isBeyond(reference)) continue
        const clash = claims.add(reference)
        if (clash !== undefined)
          this.findings.corruption(`the ${reference.use} overlaps something else`, {
            entry: reference.entry,
            offset: reference.offset,
            cluster: clash,
          })
      }
    }
  }

  /** Compares the references found with the counts written, and bit 63 with both. */
  async compare(claims: Claims): Promise<void> {
    const refcounts = await Refcounts.open(this.#source, this.#head.header)
    const counts = await refcounts.read(claims.first, claims.count)
    for (let i = 0; i < claims.count; i++) {
      const references = claims.references(claims.first + i)
      const refcount = counts[i]!
      if (refcount === references) continue
      const where = { offset: (claims.first + i) * this.clusterBytes, refcount, references }
      if (refcount < references) this.findings.corruption('a cluster is counted too low', where)
      else this.findings.leak('a cluster is counted but not used', where)
      this.#use((claims.first + i + 1) * this.clusterBytes)
    }
    for await (const references of this.#walk.active())
      for (const reference of references) this.#compareCopied(reference, claims, counts)
  }

  #compareCopied({ use, offset, entry, copied }: Reference, claims: Claims, counts: Uint16Array) {
    if (use !== 'L2 table' && use !== 'cluster') return
    const refcount = counts[Math.floor(offset / this.clusterBytes) - claims.first]
    if (refcount === undefined || copied === (refcount === 1)) return
    this.findings.corruption(
      use === 'cluster' ? WRONG_COPIED : 'bit 63 of the entry of an L2 table is wrong',
      { entry, offset, refcount },
    )
  }

  #verify(reference: Reference): void {
    const { use, offset, length, entry, flaw, active, copied } = reference
    if (flaw !== undefined) this.findings.corruption(flaw, { entry, offset })
    if (use === 'external cluster' && active && !copied)
      this.findings.corruption(WRONG_COPIED, { entry, offset })
    if (use !== 'compressed cluster' && offset % this.clusterBytes !== 0)
      this.findings.corruption(`the ${use} does not begin at a cluster`, { entry, offset })
    if (this.#isBeyond(reference))
      this.findings.corruption(`the ${use} lies beyond the end of the file`, {
        entry,
        offset,
        length,
        size: this.#source.size,
      })
    else if (use !== 'external cluster') this.#use(offset + length)
  }

  /** The last cluster of the file may be cut off; more than that may not be missing. */
  #isBeyond({ use, offset, length }: Reference): boolean {
    if (use === 'external cluster') return false
    return offset + length - this.#source.size >= this.clusterBytes
  }

  #use(end: number): void {
    const aligned = Math.ceil(end / this.clusterBytes) * this.clusterBytes
    this.findings.end = Math.max(this.findings.end, aligned)
  }

  /** As QEMU counts: the clusters of the active disk, table by table. */
  #count(references: readonly Reference[]): void {
    let next = 0
    for (const { use, offset, active } of references) {
      if (!active || use === 'L1 table' || use === 'L2 table') continue
      this.findings.allocated++
      if (use === 'compressed cluster') {
        this.findings.compressed++
        this.findings.fragmented++
      } else {
        if (next !== 0 && offset !== next) this.findings.fragmented++
        next = offset + this.clusterBytes
      }
    }
  }
}
