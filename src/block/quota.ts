import { StoreFull } from '../errors.ts'

/** Shares of the limit at which the user is warned, once each time they are passed upwards. */
const WARN_AT_PERCENT = [80, 90, 95] as const
/**
 * What is kept back: as much as the kernel may have under way at once, so that a file system can
 * finish what it has begun, which it must before it frees anything; and no large part of a small
 * limit.
 */
const MOST_RESERVE_BYTES = 64 * 2 ** 20
const RESERVE_SHARE = 1 / 4

function reserveOf(limitBytes: number): number {
  return Math.floor(Math.min(MOST_RESERVE_BYTES, limitBytes * RESERVE_SHARE))
}

/**
 * How much the kernel may hold back of what was written, for the reserve to have room for it. A file
 * that is deleted while it is written out, for sync or by the kernel itself, is freed only when all
 * of that is done.
 */
export function mostDirtyBytes(limitBytes: number): number {
  return Math.floor(reserveOf(limitBytes) / 2)
}

/**
 * How many bytes a store may hold. Taking more than is left below the line throws `StoreFull` and
 * takes nothing. The line lies below the limit by a reserve, into which `admit` lets a taker.
 */
export class Quota {
  readonly #warn: (percent: number, quota: Quota) => void
  #limitBytes: number
  /** Where the next taker stops; back at the edge of the reserve once less than that is used. */
  #lineBytes: number
  #keeps = false
  #usedBytes = 0
  #changes = new Set<() => void>()

  constructor(limitBytes: number, warn: (percent: number, quota: Quota) => void = () => {}) {
    this.#limitBytes = limitBytes
    this.#warn = warn
    this.#lineBytes = limitBytes
  }

  get limitBytes(): number {
    return this.#limitBytes
  }
  get usedBytes(): number {
    return this.#usedBytes
  }
  /** How many bytes of the limit are left. */
  get leftBytes(): number {
    return Math.max(0, this.#limitBytes - this.#usedBytes)
  }
  get reserveBytes(): number {
    return reserveOf(this.#limitBytes)
  }

  /** From now on the reserve is kept back from all but those who are admitted. */
  keepReserve(): void {
    this.#keeps = true
    this.#lineBytes = this.#edgeBytes
  }

  /** Whether `take` would succeed. */
  hasRoom(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#lineBytes
  }

  take(bytes: number): void {
    const before = this.#percent()
    if (!this.hasRoom(bytes)) {
      throw new StoreFull('the overlay is full', {
        where: { used: this.#usedBytes, limit: this.#limitBytes, wanted: bytes },
        wantedBytes: bytes,
        advice: 'free space in its file system or give it more with netcow resize-overlay',
      })
    }
    this.#usedBytes += bytes
    const passed = WARN_AT_PERCENT.findLast((mark) => before < mark && this.#percent() >= mark)
    if (passed !== undefined) this.#warn(passed, this)
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
    if (this.#keeps && this.#usedBytes <= this.#edgeBytes) this.#lineBytes = this.#edgeBytes
    this.#changed()
  }

  /** Lets the next taker of `bytes` into the reserve; false if not even the limit has room. */
  admit(bytes: number): boolean {
    const line = this.#usedBytes + bytes
    if (line > this.#limitBytes) return false
    this.#lineBytes = Math.max(this.#lineBytes, line)
    return true
  }

  /** Sets another limit. What is used beyond it stays. */
  resize(limitBytes: number): void {
    this.#limitBytes = limitBytes
    this.#lineBytes = this.#keeps ? this.#edgeBytes : limitBytes
    this.#changed()
  }

  /** Calls `listener` after bytes are given back or the limit is another. */
  onChange(listener: () => void): void {
    this.#changes.add(listener)
  }

  get #edgeBytes(): number {
    return this.#limitBytes - this.reserveBytes
  }

  #changed(): void {
    for (const listener of this.#changes) listener()
  }

  #percent(): number {
    return this.#limitBytes === 0 ? 100 : (this.#usedBytes / this.#limitBytes) * 100
  }
}
