import { ImageInvalid } from '../../errors.ts'
import type { Quota } from '../quota.ts'
import { CLUSTER_BYTES } from './layout.ts'

/**
 * Which places for clusters are free. A place that is given back is not given out again before the
 * next flush has said on the disk that it is free: after a power failure it would belong to two.
 */
export class ClusterPool {
  readonly #quota: Quota
  #free: number[] = []
  #resting: number[] = []
  /** Every place from here on has never been used. */
  #next: number

  /** @param used a byte for each place, 1 if it is in use */
  constructor(quota: Quota, used: Uint8Array) {
    this.#quota = quota
    this.#next = used.lastIndexOf(1) + 1
    for (let place = 0; place < this.#next; place++) if (used[place] === 0) this.#free.push(place)
  }

  /** Throws `StoreFull`. */
  take(): number {
    this.#quota.take(CLUSTER_BYTES)
    return this.#free.pop() ?? this.#next++
  }

  /** The place rests until it is `rested`. */
  give(place: number): void {
    this.#resting.push(place)
  }

  /** The places that rest now; to be freed once the disk says so. */
  resting(): readonly number[] {
    const resting = this.#resting
    this.#resting = []
    return resting
  }

  get restingCount(): number {
    return this.#resting.length
  }

  rested(places: readonly number[]): void {
    // One call with all of them would be too many arguments: a disk that is emptied has millions.
    for (const place of places) this.#free.push(place)
    if (places.length > 0) this.#quota.give(places.length * CLUSTER_BYTES)
  }
}

/** Notes a place that the map names; throws `ImageInvalid` if two clusters do. */
export function claim(used: Uint8Array, place: number, path: string): void {
  if (used[place] !== 0) {
    throw new ImageInvalid('the map of the overlay is damaged', { where: { path, place } })
  }
  used[place] = 1
}
