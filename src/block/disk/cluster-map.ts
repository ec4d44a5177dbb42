import { ENTRIES_PER_PAGE, ENTRY_BYTES, HEAD_BYTES, type Layout, PAGE_BYTES } from './layout.ts'
import type { Place } from './place.ts'

/** Pages of the map kept in memory: 8 MiB, which are the map of 16 GiB of clusters. */
const MOST_PAGES = 2048
/** Read at once when the overlay is opened. */
const SCANNED_PAGES = 64
/** Bytes of an entry: the place plus 1, or 0; spare; then a bit for each owned sector. */
const BITS_AT = 16

class Page {
  readonly bytes: Buffer
  /** Not yet in the durable map. */
  dirty = false
  /** Writes to the live map that are under way or to come. */
  commits = 0
  #writing: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Is in the file, though perhaps not on the disk, when it resolves; writes are gathered. */
  async commit(write: () => Promise<void>): Promise<void> {
    this.dirty = true
    this.#next ??= this.#after(this.#writing, write)
    this.commits++
    try {
      await this.#next
    } finally {
      this.commits--
    }
  }

  async #after(before: Promise<void>, write: () => Promise<void>): Promise<void> {
    // Whoever waited for it has been told if it failed.
    await before.catch(() => {})
    this.#next = undefined
    this.#writing = write()
    return this.#writing
  }
}

/** One cluster of the disk: where it is kept, and which of its sectors the overlay owns. */
export interface Entry {
  /** Undefined: what is owned reads as zeroes. */
  place: number | undefined
  readonly bits: Uint8Array
}

/**
 * The map from clusters to their places, in two copies.
 *
 * What has been acknowledged must be found by the next daemon if this one is killed; and what a power
 * failure leaves must never name a place whose bytes were not written before it. So a change goes to
 * the live map at once, with the id of this boot in each page: as long as the machine runs, what was
 * written is there in this order. A flush first synchronizes all, and then brings the changed pages
 * into the durable map, which is all that counts after a restart.
 */
export class ClusterMap {
  readonly #place: Place
  readonly #layout: Layout
  readonly #bootId: Uint8Array
  /** Insertion order is the order of use. */
  readonly #pages = new Map<number, Page>()
  readonly #loading = new Map<number, Promise<Page>>()
  /** Pages in which something is owned; the others need not be read. */
  readonly #present = new Set<number>()

  constructor(place: Place, layout: Layout, bootId: Uint8Array) {
    this.#place = place
    this.#layout = layout
    this.#bootId = bootId
  }

  /** Reads all of the map, and brings the durable one up to the live one. */
  async scan(found: (place: number) => void): Promise<void> {
    const { pages } = this.#layout
    for (let first = 0; first < pages; first += SCANNED_PAGES) {
      const count = Math.min(SCANNED_PAGES, pages - first)
      const durable = await this.#readPages(this.#layout.durableMap, first, count)
      const live = await this.#readPages(this.#layout.liveMap, first, count)
      this.#look(first, durable, live, found)
    }
  }

  #look(first: number, durables: Buffer, lives: Buffer, found: (place: number) => void): void {
    for (let at = 0; at < durables.length; at += PAGE_BYTES) {
      const number = first + at / PAGE_BYTES
      const durable = durables.subarray(at, at + PAGE_BYTES)
      const live = lives.subarray(at, at + PAGE_BYTES)
      const isLive = live.subarray(0, this.#bootId.length).equals(this.#bootId)
      const bytes = isLive ? live : durable
      let present = false
      for (let index = 0; index < ENTRIES_PER_PAGE; index++) {
        const entry = entryAt(bytes, index)
        present ||= entry.some((byte) => byte !== 0)
        const { place } = decoded(entry)
        if (place !== undefined) found(place)
      }
      if (present) this.#present.add(number)
      if (!isLive || live.subarray(HEAD_BYTES).equals(durable.subarray(HEAD_BYTES))) continue
      const page = new Page(Buffer.from(live))
      page.dirty = true
      this.#pages.set(number, page)
    }
  }

  /** Whether the overlay can own anything of the cluster. */
  mayOwn(cluster: number): boolean {
    return this.#present.has(pageOf(cluster))
  }

  /** A view of the entry: it stays true until `commit`. */
  async entry(cluster: number): Promise<Entry> {
    const page = await this.#page(pageOf(cluster))
    return decoded(entryAt(page.bytes, cluster % ENTRIES_PER_PAGE))
  }

  /** Changes an entry, in memory at once and in the file when it resolves. */
  async change(cluster: number, change: (entry: Entry) => void): Promise<void> {
    const number = pageOf(cluster)
    const page = await this.#page(number)
    const bytes = entryAt(page.bytes, cluster % ENTRIES_PER_PAGE)
    const entry = decoded(bytes)
    change(entry)
    bytes.writeUInt32BE(entry.place === undefined ? 0 : entry.place + 1, 0)
    this.#present.add(number)
    await page.commit(() => this.#writeLive(number, page))
  }

  /** The changed pages as they are now; they count as unchanged from now on. */
  takeDirty(): (readonly [number: number, bytes: Uint8Array])[] {
    const dirty = [...this.#pages].filter(([, page]) => page.dirty)
    for (const [, page] of dirty) page.dirty = false
    return dirty.map(([number, page]) => [number, Buffer.from(page.bytes)] as const)
  }

  /** They could not be brought to the disk. */
  putBackDirty(pages: readonly (readonly [number: number, bytes: Uint8Array])[]): void {
    for (const [number] of pages) {
      const page = this.#pages.get(number)
      if (page) page.dirty = true
    }
  }

  async writeDurable(pages: readonly (readonly [number: number, bytes: Uint8Array])[]) {
    for (const [number, bytes] of pages) {
      await this.#place.write(bytes, this.#layout.durableMap + number * PAGE_BYTES)
    }
  }

  #writeLive(number: number, page: Page): Promise<void> {
    page.bytes.set(this.#bootId, 0)
    return this.#place.write(page.bytes, this.#layout.liveMap + number * PAGE_BYTES)
  }

  async #page(number: number): Promise<Page> {
    const held = this.#pages.get(number)
    if (held !== undefined) {
      this.#pages.delete(number)
      this.#pages.set(number, held)
      return held
    }
    return this.#loading.getOrInsertComputed(number, () =>
      this.#load(number).finally(() => this.#loading.delete(number)),
    )
  }

  async #load(number: number): Promise<Page> {
    const page = new Page(
      this.#present.has(number) ? await this.#readCurrent(number) : Buffer.alloc(PAGE_BYTES),
    )
    this.#pages.set(number, page)
    for (const [oldest, { dirty, commits }] of this.#pages) {
      if (this.#pages.size <= MOST_PAGES) break
      if (!dirty && commits === 0 && oldest !== number) this.#pages.delete(oldest)
    }
    return page
  }

  async #readCurrent(number: number): Promise<Buffer> {
    const live = await this.#readPage(this.#layout.liveMap, number)
    if (live.subarray(0, this.#bootId.length).equals(this.#bootId)) return live
    return this.#readPage(this.#layout.durableMap, number)
  }

  #readPage(map: number, number: number): Promise<Buffer> {
    return this.#readPages(map, number, 1)
  }

  async #readPages(map: number, first: number, count: number): Promise<Buffer> {
    const bytes = Buffer.alloc(count * PAGE_BYTES)
    await this.#place.read(bytes, map + first * PAGE_BYTES)
    return bytes
  }
}

function pageOf(cluster: number): number {
  return Math.floor(cluster / ENTRIES_PER_PAGE)
}

function entryAt(page: Buffer, index: number): Buffer {
  const at = HEAD_BYTES + index * ENTRY_BYTES
  return page.subarray(at, at + ENTRY_BYTES)
}

function decoded(entry: Buffer): Entry {
  const place = entry.readUInt32BE(0)
  return { place: place === 0 ? undefined : place - 1, bits: entry.subarray(BITS_AT) }
}
