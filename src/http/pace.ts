import type { LinkSpeed } from '../block/speculation.ts'

/** Weight of the newest measurement. */
const NEWEST = 0.3
/** What is left of the measurements before with each new one. */
const FADING = 0.9
/** Half of what a server was slow by is forgiven in this time, so that it is tried again. */
const FORGIVE_MS = 30_000
/** A server is late when it takes this many times what it should, and at least this long. */
const LATE_FACTOR = 3
const LEAST_LATE_MS = 250

/** A part that comes in one piece seems to take no time: 10 Gbit/s, in bytes per millisecond. */
const FASTEST = 1.25e6

/** A request under way; disposed when it is over. */
export interface Underway extends Disposable {
  /** Times since the request was sent, in milliseconds. */
  took(firstByteMs: number, lastByteMs: number): void
}

/** How fast a server answers: the time to its first byte, and the time that each byte then takes. */
export class Pace {
  /** The fastest first byte ever: what it is without a queue. */
  #nearestMs = Infinity
  #firstByteMs = 0
  /** Time in which bodies came in, of one or of several at once, and how much came; fading. */
  #flowingMs = 0
  #flowedBytes = 0
  #flowedUntilMs = -Infinity
  #measuredAtMs = -Infinity
  #underwayBytes = 0

  /** Lately; undefined until something was measured. */
  get firstByteMs(): number | undefined {
    return this.#nearestMs === Infinity ? undefined : this.#firstByteMs
  }

  get speed(): LinkSpeed | undefined {
    if (this.#nearestMs === Infinity) return undefined
    return {
      roundTripMs: this.#nearestMs,
      recentRoundTripMs: this.#firstByteMs,
      bytesPerMs: Math.min(1 / this.#msPerByte, FASTEST),
    }
  }

  begin(bytes: number): Underway {
    this.#underwayBytes += bytes
    return {
      took: (firstByteMs, lastByteMs) => this.#observe(firstByteMs, lastByteMs, bytes),
      [Symbol.dispose]: () => {
        this.#underwayBytes -= bytes
      },
    }
  }

  /** How long `bytes` more should take, with all that is under way before them. */
  expectedMs(bytes: number): number {
    if (this.#nearestMs === Infinity) return 0
    const ageMs = performance.now() - this.#measuredAtMs
    const late = (this.#firstByteMs - this.#nearestMs) * 0.5 ** (ageMs / FORGIVE_MS)
    return this.#nearestMs + late + (this.#underwayBytes + bytes) * this.#msPerByte
  }

  /** After how long a request of `bytes` that is under way is late. */
  lateMs(bytes: number): number {
    return Math.max(LEAST_LATE_MS, LATE_FACTOR * this.expectedMs(bytes))
  }

  /** A request was given up after this long without an end. */
  gaveUp(ms: number): void {
    this.#observe(ms, ms, 0)
  }

  get #msPerByte(): number {
    return this.#flowedBytes > 0 ? this.#flowingMs / this.#flowedBytes : 0
  }

  /** Called at the last byte. */
  #observe(firstByteMs: number, lastByteMs: number, bytes: number): void {
    const now = performance.now()
    const first = this.#nearestMs === Infinity
    const weight = first ? 1 : NEWEST
    this.#nearestMs = Math.min(this.#nearestMs, firstByteMs)
    this.#firstByteMs += weight * (firstByteMs - this.#firstByteMs)
    // What comes over several connections at once shares the link: that time counts once.
    const sinceMs = Math.max(now - (lastByteMs - firstByteMs), this.#flowedUntilMs)
    this.#flowingMs = this.#flowingMs * FADING + Math.max(0, now - sinceMs)
    this.#flowedBytes = this.#flowedBytes * FADING + bytes
    this.#flowedUntilMs = now
    this.#measuredAtMs = now
  }
}
