import type { Clock } from '../block/clock.ts'

/** Fills the whole of `target`, and leaves it alone once the signal aborts. */
export type Reader = (target: Uint8Array, signal?: AbortSignal) => Promise<void>

/** Hedges under way at once. */
const MOST_AT_ONCE = 2
/** One read in ten may be sent twice, and a few at the start. */
const EARNED_BY_READ = 0.1
const MOST_EARNED = 5

/** Bounds how much is fetched twice. */
export class Hedges {
  #earned = MOST_EARNED
  #underway = 0

  /** A read was sent. */
  earn(): void {
    this.#earned = Math.min(MOST_EARNED, this.#earned + EARNED_BY_READ)
  }

  /** Leave for one hedge, to be disposed of when it is over; undefined when there is none. */
  take(): Disposable | undefined {
    if (this.#underway >= MOST_AT_ONCE || this.#earned < 1) return undefined
    this.#earned--
    this.#underway++
    return {
      [Symbol.dispose]: () => {
        this.#underway--
      },
    }
  }
}

/**
 * Reads by `first`, and when that takes longer than `lateMs` by `second`, too, if it gives one.
 * Whoever fills the target first ends the other. Throws AggregateError when all fail.
 */
export async function firstToFill(
  target: Uint8Array,
  first: Reader,
  second: () => Reader | undefined,
  lateMs: number,
  clock: Clock,
): Promise<void> {
  const main = new AbortController()
  const spare = new AbortController()
  const over = new AbortController()
  let filled = false
  const reading = first(target, main.signal).then(() => {
    filled = true
  })
  const hedging = async () => {
    const late = await clock.sleep(lateMs, over.signal).then(
      () => true,
      () => false,
    )
    const reader = late ? second() : undefined
    // Without another the first is all there is to wait for.
    if (reader === undefined) return reading
    // Of its own, for as long as both may write.
    const copy = new Uint8Array(target.length)
    await reader(copy, spare.signal)
    if (filled) return
    main.abort()
    target.set(copy)
  }
  try {
    // A failure before the other has begun is for the caller to act upon.
    reading.catch(() => over.abort())
    await Promise.any([reading, hedging()])
  } finally {
    for (const one of [main, spare, over]) one.abort()
  }
}
