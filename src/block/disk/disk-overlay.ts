import assert from 'node:assert/strict'
import { SourceRefused } from '../../errors.ts'
import { SECTOR, assertSectors } from '../overlay.ts'
import type { Quota } from '../quota.ts'
import { settled } from '../settled.ts'
import {
  type BlockDevice,
  type BlockSource,
  type Completion,
  type Extent,
  assertRange,
} from '../source.ts'
import { ClusterLocks } from './cluster-locks.ts'
import { ClusterMap } from './cluster-map.ts'
import { ClusterPool, claim } from './cluster-pool.ts'
import {
  CLUSTER_BYTES,
  HEADER_LENGTH,
  type Layout,
  checkHeader,
  encodeHeader,
  isOurs,
  layoutFor,
} from './layout.ts'
import { makeOverlay } from './make-overlay.ts'
import { type Part, type Run, own, ownsAll, partsOf, runsOf } from './part.ts'
import type { Place } from './place.ts'

/** Places that are given out before anything is in them: eight times what a kernel has under way. */
const MOST_UNWRITTEN = 4096
const ZEROES = new Uint8Array(CLUSTER_BYTES)

export interface DiskOverlayOptions {
  /** Of the image, one or two: an overlay that has none of them is refused. */
  readonly identities: readonly string[]
  /** Different after each start of the machine, 16 bytes. */
  readonly bootId: Uint8Array
  /** Whether nothing would be lost by writing over the whole of a disk, asked before it is done. */
  readonly isEmpty: () => Promise<boolean>
  /** How many bytes of clusters there may be, for a place that has so many in use. */
  readonly quota: (clusterBytes: number, dataOffset: number) => Promise<Quota>
}

/**
 * Keeps writes in a file or on a partition, for the next daemon and for the next start of the
 * machine, and leaves `base` untouched. A write that was acknowledged outlives this process; one
 * that was flushed outlives the power.
 */
export class DiskOverlay implements BlockDevice {
  readonly size: number
  readonly quota: Quota
  readonly #base: BlockSource
  readonly #place: Place
  readonly #layout: Layout
  readonly #map: ClusterMap
  readonly #pool: ClusterPool
  readonly #locks = new ClusterLocks()
  #flushing: Promise<void> = Promise.resolve()
  #nextFlush: Promise<void> | undefined

  private constructor(
    base: BlockSource,
    place: Place,
    layout: Layout,
    map: ClusterMap,
    pool: ClusterPool,
    quota: Quota,
  ) {
    this.size = base.size
    this.quota = quota
    this.#base = base
    this.#place = place
    this.#layout = layout
    this.#map = map
    this.#pool = pool
  }

  /**
   * Goes on with the overlay that is there, or makes one where nothing is. Throws `SourceRefused`
   * and `ImageInvalid`; nothing of anybody else is ever written over.
   */
  static async open(
    base: BlockSource,
    place: Place,
    options: DiskOverlayOptions,
  ): Promise<DiskOverlay> {
    assert(base.size % SECTOR === 0)
    const layout = layoutFor(base.size)
    const header = new Uint8Array(HEADER_LENGTH)
    await place.read(header, 0)
    const { identities } = options
    if (isOurs(header)) {
      const known = checkHeader(header, base.size, identities, place.path)
      // The image has got a digest since: by that, the next daemon may know it at another place.
      if (known < identities.length) await place.write(encodeHeader(base.size, identities), 0)
    } else if (await options.isEmpty()) {
      await makeOverlay(place, layout, base.size, identities)
    } else {
      throw new SourceRefused('there is something else where the overlay should be', {
        where: { path: place.path },
        advice: 'use an empty disk or another file; netcow writes over nothing',
      })
    }
    const map = new ClusterMap(place, layout, options.bootId)
    // A file that has just been made has no places, and one whose daemon was killed may not reach to
    // the last ones that were given out.
    const room = Math.max(0, place.sizeBytes - layout.data)
    const beyond = place.grows ? MOST_UNWRITTEN : 0
    const used = new Uint8Array(Math.ceil(room / CLUSTER_BYTES) + beyond)
    let count = 0
    await map.scan((at) => {
      claim(used, at, place.path)
      count++
    })
    const quota = await options.quota(count * CLUSTER_BYTES, layout.data)
    const pool = new ClusterPool(quota, used)
    const overlay = new DiskOverlay(base, place, layout, map, pool, quota)
    await overlay.flush()
    return overlay
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    const reads = partsOf(offset, target.length).map((part) => {
      return this.#readPart(part, target.subarray(part.from, part.from + part.length))
    })
    await settled(reads)
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    const [part] = partsOf(offset, length)
    assert(part)
    const entry = this.#map.mayOwn(part.cluster) ? await this.#map.entry(part.cluster) : undefined
    const [run] = runsOf(part, entry)
    assert(run)
    if (!run.owned) {
      const extent = await this.#base.extent(offset, run.length)
      return extent.depth === 0 ? extent : { ...extent, depth: extent.depth + 1 }
    }
    const kind = entry?.place === undefined ? 'zero' : 'data'
    return { kind, length: run.length, depth: 1 }
  }

  write(data: Uint8Array, offset: number): Completion {
    assertSectors(this.size, offset, data.length)
    return this.#each(offset, data.length, (part) =>
      this.#writePart(part, data.subarray(part.from, part.from + part.length)),
    )
  }

  zero(offset: number, length: number): Promise<void> {
    assertSectors(this.size, offset, length)
    return this.#each(offset, length, (part) => this.#zeroPart(part))
  }

  /** What the overlay does not own yet stays as it is: nobody may rely on what they discarded. */
  discard(offset: number, length: number): Promise<void> {
    assertSectors(this.size, offset, length)
    return this.#each(offset, length, (part) => {
      return this.#map.mayOwn(part.cluster) ? this.#zeroPart(part) : undefined
    })
  }

  /** Joins a flush that has not begun yet. */
  flush(): Promise<void> {
    this.#nextFlush ??= this.#flushAfter(this.#flushing)
    return this.#nextFlush
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _base = this.#base
    await using _place = this.#place
    await this.flush()
  }

  async #flushAfter(before: Promise<void>): Promise<void> {
    await before.catch(() => {})
    this.#nextFlush = undefined
    this.#flushing = this.#flushNow()
    return this.#flushing
  }

  /** What the changed pages name was written before; it is on the disk before they are. */
  async #flushNow(): Promise<void> {
    const pages = this.#map.takeDirty()
    const places = this.#pool.resting()
    try {
      await this.#place.synchronize()
      if (pages.length > 0) {
        await this.#map.writeDurable(pages)
        await this.#place.synchronize()
      }
    } catch (error) {
      this.#map.putBackDirty(pages)
      for (const place of places) this.#pool.give(place)
      throw error
    }
    this.#pool.rested(places)
  }

  async #each(
    offset: number,
    length: number,
    work: (part: Part) => Promise<void> | undefined,
  ): Promise<void> {
    const works = partsOf(offset, length).map(async (part) => {
      await work(part)
    })
    await settled(works)
  }

  /** The base does not change, and may be away: nobody who changes the cluster waits for it. */
  async #readPart(part: Part, target: Uint8Array): Promise<void> {
    if (!this.#map.mayOwn(part.cluster)) return this.#base.read(target, part.offset)
    const pieceOf = (run: Run) => target.subarray(run.from, run.from + run.length)
    const others = await this.#locks.shared(part.cluster, async () => {
      const entry = await this.#map.entry(part.cluster)
      const runs = [...runsOf(part, entry)]
      const reads = runs.map((run) => {
        if (!run.owned) return undefined
        if (entry.place !== undefined)
          return this.#place.read(pieceOf(run), this.#at(entry.place, part.inside + run.from))
        pieceOf(run).fill(0)
        return undefined
      })
      await settled(reads)
      return runs.filter(({ owned }) => !owned)
    })
    await settled(others.map((run) => this.#base.read(pieceOf(run), part.offset + run.from)))
  }

  async #writePart(part: Part, data: Uint8Array): Promise<void> {
    const { cluster } = part
    if ((await this.#map.entry(cluster)).place === undefined) {
      await this.#locks.exclusive(cluster, () => this.#allocate(cluster))
    }
    const written = await this.#locks.shared(cluster, async () => {
      const { place, bits } = await this.#map.entry(cluster)
      if (place === undefined) return false
      await this.#place.write(data, this.#at(place, part.inside))
      if (!ownsAll(bits, part)) await this.#map.change(cluster, (entry) => own(entry.bits, part))
      return true
    })
    // A discard came in between.
    if (!written) await this.#writePart(part, data)
  }

  /** Gives the cluster a place; what it owns as zeroes is made so there first. */
  async #allocate(cluster: number): Promise<void> {
    const { place, bits } = await this.#map.entry(cluster)
    if (place !== undefined) return
    const given = this.#pool.take()
    try {
      if (bits.some((byte) => byte !== 0)) await this.#place.write(ZEROES, this.#at(given, 0))
    } catch (error) {
      this.#pool.give(given)
      throw error
    }
    await this.#map.change(cluster, (entry) => (entry.place = given))
  }

  async #zeroPart(part: Part): Promise<void> {
    const { cluster } = part
    const end = Math.min(this.size, (cluster + 1) * CLUSTER_BYTES)
    const whole = part.inside === 0 && part.offset + part.length === end
    const lock = whole ? 'exclusive' : 'shared'
    await this.#locks[lock](cluster, async () => {
      const { place, bits } = await this.#map.entry(cluster)
      if (place === undefined && ownsAll(bits, part)) return
      if (place !== undefined && !whole) {
        await this.#place.write(ZEROES.subarray(0, part.length), this.#at(place, part.inside))
      }
      await this.#map.change(cluster, (entry) => {
        own(entry.bits, part)
        if (whole) entry.place = undefined
      })
      if (place !== undefined && whole) this.#pool.give(place)
    })
    if (whole) this.#freeSoon()
  }

  /** Places that rest are room for those who wait, and a file system need not flush after a discard. */
  #freeSoon(): void {
    if (this.#pool.restingCount === 0 || this.quota.hasRoom(this.quota.reserveBytes)) return
    this.flush().catch(() => {})
  }

  #at(place: number, inside: number): number {
    return this.#layout.data + place * CLUSTER_BYTES + inside
  }
}
