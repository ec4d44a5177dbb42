import type { Quota } from './quota.ts'

/**
 * Who may go into the reserve of a full store, and when.
 *
 * A file system frees space by committing to its journal, and commits only after the writes that it
 * has under way; the commit, too, may need room. Were all of them to wait, nothing could ever be
 * freed. So small writes, as journals and metadata are, go on at once, and large ones one after the
 * other, ever more slowly as the reserve shrinks: within a minute or two somebody can free
 * something, and the file system can finish what it has begun.
 */

/** Larger writes are bulk: journals write a few blocks at a time, and write-back half a megabyte. */
const SMALL_BYTES = 64 * 1024
/** This share of the reserve is for small writes only, and even they take their time in it. */
const LAST_SHARE = 1 / 4
/** In this time about two thirds of what is left to a class of writes is used up. */
const HORIZON_MS = 30_000
/** Room may come from where nobody tells us of it, such as the file system that holds the store. */
const LOOK_AGAIN_MS = 5000

interface Waiting {
  readonly bytes: number
  readonly wake: () => void
}

/** A queue for writes of one class, which leaves a share of the reserve to others. */
class Lane {
  readonly #quota: Quota
  readonly #floorShare: number
  #queue: Waiting[] = []
  #timer: NodeJS.Timeout | undefined
  #admittedAt = -Infinity

  constructor(quota: Quota, floorShare: number) {
    this.#quota = quota
    this.#floorShare = floorShare
  }

  wait(bytes: number): Promise<void> {
    return new Promise((wake) => {
      this.#queue.push({ bytes, wake })
      this.#plan()
    })
  }

  /** There may be room for all: each tries again, and comes back if there is not. */
  wakeAll(): void {
    const queue = this.#queue
    this.#queue = []
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const { wake } of queue) wake()
  }

  #plan(): void {
    const [head] = this.#queue
    if (head === undefined || this.#timer !== undefined) return
    const left = this.#quota.leftBytes - this.#quota.reserveBytes * this.#floorShare
    const open = head.bytes <= left
    const pause = open ? (head.bytes / left) * HORIZON_MS : LOOK_AGAIN_MS
    const due = Math.max(0, this.#admittedAt + pause - performance.now())
    this.#timer = setTimeout(() => this.#next(open), open ? due : LOOK_AGAIN_MS)
  }

  #next(open: boolean): void {
    this.#timer = undefined
    const head = this.#queue.shift()
    if (open && head !== undefined && this.#quota.admit(head.bytes)) {
      this.#admittedAt = performance.now()
    }
    head?.wake()
    this.#plan()
  }
}

/** Lets writes that found a store full in, each in its turn. */
export class Admission {
  readonly #quota: Quota
  readonly #small: Lane
  readonly #bulk: Lane

  constructor(quota: Quota) {
    this.#quota = quota
    this.#small = new Lane(quota, 0)
    this.#bulk = new Lane(quota, LAST_SHARE)
    quota.keepReserve()
    quota.onChange(() => {
      this.#small.wakeAll()
      this.#bulk.wakeAll()
    })
  }

  /** Resolves when a write that needs `bytes` should try again. */
  async turn(bytes: number): Promise<void> {
    // Room made since the write found none must not be slept through.
    if (this.#quota.hasRoom(bytes)) return
    if (bytes > SMALL_BYTES) return this.#bulk.wait(bytes)
    const plenty = this.#quota.leftBytes - bytes > this.#quota.reserveBytes * LAST_SHARE
    if (plenty && this.#quota.admit(bytes)) return
    return this.#small.wait(bytes)
  }
}
