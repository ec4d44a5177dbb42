import type { Reference, Use } from './walk.ts'

/** One bit per use; what a cluster may be used for together with others of the same bit. */
const BITS: Readonly<Record<Use, number>> = {
  header: 1,
  'L1 table': 1,
  'refcount table': 1,
  'refcount block': 1,
  'snapshot table': 1,
  'LUKS header': 1,
  bitmap: 1,
  'L2 table': 2,
  cluster: 4,
  'compressed cluster': 8,
  'external cluster': 0,
}
/** These are never shared, not even between snapshots. */
const SOLE = 1
const MOST_REFERENCES = 0xffff

/** Who refers to the clusters of one window of the file, and how often. */
export class Claims {
  /** The first cluster of the window. */
  readonly first: number
  readonly count: number
  readonly #clusterBytes: number
  readonly #uses: Uint8Array
  readonly #references: Uint16Array

  constructor(first: number, count: number, clusterBytes: number) {
    this.first = first
    this.count = count
    this.#clusterBytes = clusterBytes
    this.#uses = new Uint8Array(count)
    this.#references = new Uint16Array(count)
  }

  /** Returns the first cluster that is already used for something it cannot share, if any. */
  add({ use, offset, length }: Reference): number | undefined {
    const bit = BITS[use]
    if (bit === 0 || length === 0) return undefined
    const begin = Math.max(Math.floor(offset / this.#clusterBytes) - this.first, 0)
    const last = Math.floor((offset + length - 1) / this.#clusterBytes) - this.first
    let clash: number | undefined
    for (let i = begin; i <= Math.min(last, this.count - 1); i++) {
      const uses = this.#uses[i]!
      if (uses !== 0 && (bit === SOLE || (uses & ~bit) !== 0)) clash ??= this.first + i
      this.#uses[i] = uses | bit
      if (this.#references[i]! < MOST_REFERENCES) this.#references[i]!++
    }
    return clash
  }

  references(cluster: number): number {
    return this.#references[cluster - this.first] ?? 0
  }
}
