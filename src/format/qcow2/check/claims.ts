import type { Reference, Use } from './walk.ts'

/** One bit per use; what is never shared, not even between snapshots, has one together. */
const SOLE = 1
const BITS: Readonly<Record<Use, number>> = {
  header: SOLE,
  'L1 table': SOLE,
  'refcount table': SOLE,
  'refcount block': SOLE,
  'snapshot table': SOLE,
  'LUKS header': SOLE,
  bitmap: SOLE,
  'L2 table': 2,
  cluster: 4,
  'compressed cluster': 8,
  'external cluster': 0,
}
/**
 * Where a compressed cluster goes on. Its length is only an upper bound, "decompression stops when it
 * has produced a cluster of data": what stands there may be something else.
 */
const TAIL = 16
/** The bits of what else may be in the same cluster. */
const SHARED: Readonly<Record<number, number>> = {
  [SOLE]: 0,
  [BITS['L2 table']]: BITS['L2 table'],
  [BITS.cluster]: BITS.cluster | TAIL,
  [BITS['compressed cluster']]: BITS['compressed cluster'] | TAIL,
  [TAIL]: BITS.cluster | BITS['compressed cluster'] | TAIL,
}
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
    if (BITS[use] === 0 || length === 0) return undefined
    const begin = Math.floor(offset / this.#clusterBytes) - this.first
    const last = Math.floor((offset + length - 1) / this.#clusterBytes) - this.first
    let clash: number | undefined
    for (let i = Math.max(begin, 0); i <= Math.min(last, this.count - 1); i++) {
      const bit = use === 'compressed cluster' && i > begin ? TAIL : BITS[use]
      const uses = this.#uses[i]!
      if ((uses & ~SHARED[bit]!) !== 0) clash ??= this.first + i
      this.#uses[i] = uses | bit
      if (this.#references[i]! < MOST_REFERENCES) this.#references[i]!++
    }
    return clash
  }

  references(cluster: number): number {
    return this.#references[cluster - this.first] ?? 0
  }
}
