import { StoreFull } from '../errors.ts'

/** Shares of the limit at which the user is warned, once each time they are passed upwards. */
const WARN_AT_PERCENT = [80, 90, 95] as const

/**
 * How many bytes a store may hold. Taking more than is left throws `StoreFull` and takes nothing;
 * whoever would rather wait asks for `room`.
 */
export class Quota {
  readonly limitBytes: number
  readonly #warn: (percent: number, quota: Quota) => void
  #usedBytes = 0
  #gifts = 0
  #waiting: (() => void)[] = []

  constructor(limitBytes: number, warn: (percent: number, quota: Quota) => void = () => {}) {
    this.limitBytes = limitBytes
    this.#warn = warn
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** How often bytes were given back so far. */
  get gifts(): number {
    return this.#gifts
  }

  take(bytes: number): void {
    const before = this.#percent()
    if (this.#usedBytes + bytes > this.limitBytes) {
      throw new StoreFull('the overlay is full', {
        where: { used: this.#usedBytes, limit: this.limitBytes, wanted: bytes },
        advice: 'free space in its file system or give a larger --overlay memory:SIZE',
      })
    }
    this.#usedBytes += bytes
    const passed = WARN_AT_PERCENT.findLast((mark) => before < mark && this.#percent() >= mark)
    if (passed !== undefined) this.#warn(passed, this)
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
    this.#gifts++
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /** Resolves the next time that bytes are given back. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #percent(): number {
    return this.limitBytes === 0 ? 100 : (this.#usedBytes / this.limitBytes) * 100
  }
}
