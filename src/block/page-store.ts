import assert from 'node:assert/strict'

/** The unit of allocation: what file systems discard, and no more than a small write needs. */
export const PAGE = 4096
const PAGES_PER_SLAB = 64

interface Slab {
  readonly bytes: Uint8Array
  /** Indexes of pages that were given back. */
  readonly free: number[]
  /** Pages from this index on were never given out, and are zeroes. */
  fresh: number
}

/**
 * Pages of memory by number, from 1 on. They are carved out of slabs: a full store is few large
 * buffers, and has no object for each page that the garbage collector would look at again and again.
 */
export class PageStore {
  /** Where a slab was let go there is room for another one. */
  readonly #slabs: (Slab | undefined)[] = []
  readonly #vacant: number[] = []
  /** Indexes of slabs with pages to give. */
  readonly #roomy = new Set<number>()

  /** The number of a page of zeroes. */
  allocate(): number {
    const index = this.#roomy.values().next().value ?? this.#newSlab()
    const slab = this.#slabs[index]
    assert(slab)
    const freed = slab.free.pop()
    const within = freed ?? slab.fresh++
    if (freed !== undefined) slab.bytes.fill(0, freed * PAGE, (freed + 1) * PAGE)
    if (slab.free.length === 0 && slab.fresh === PAGES_PER_SLAB) this.#roomy.delete(index)
    return index * PAGES_PER_SLAB + within + 1
  }

  release(page: number): void {
    const index = Math.floor((page - 1) / PAGES_PER_SLAB)
    const slab = this.#slabs[index]
    assert(slab)
    slab.free.push((page - 1) % PAGES_PER_SLAB)
    this.#roomy.add(index)
    if (slab.free.length < slab.fresh) return
    this.#roomy.delete(index)
    this.#slabs[index] = undefined
    this.#vacant.push(index)
  }

  /** Where the page is: at `startOf` of this. */
  bytesWith(page: number): Uint8Array {
    const slab = this.#slabs[Math.floor((page - 1) / PAGES_PER_SLAB)]
    assert(slab)
    return slab.bytes
  }

  startOf(page: number): number {
    return ((page - 1) % PAGES_PER_SLAB) * PAGE
  }

  #newSlab(): number {
    const slab = { bytes: new Uint8Array(PAGES_PER_SLAB * PAGE), free: [], fresh: 0 }
    const index = this.#vacant.pop() ?? this.#slabs.length
    this.#slabs[index] = slab
    this.#roomy.add(index)
    return index
  }
}
