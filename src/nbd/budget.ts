/** Whoever shares a budget: the memory of one client. */
export interface Holder {
  /** There may be room now for what was waited for. */
  retry(): void
  /** Whether the client has not done, since this was last asked, what was its turn then. */
  isStuck(): boolean
  /** Gives everything back, at the cost of the client. */
  dismiss(): void
}

export interface BudgetOptions {
  /** Nobody has to ask for so much; what it comes to for all clients is not part of the rest. */
  readonly ownBytes: number
  /** What all of them share beyond that, one after the other. */
  readonly commonBytes: number
  /** A client that holds what others wait for has to move within this time. */
  readonly patienceMs: number
}

/**
 * The memory of all clients of a server. Each has a little of its own, enough for small requests, so
 * that nobody can keep another one from being served. What large requests need beyond that is
 * common: it is given in the order of asking, and while somebody waits, a client that neither
 * completes its payload nor takes its replies is dismissed. Those who wait for the export are not.
 */
export class Budget {
  readonly ownBytes: number
  readonly #patienceMs: number
  #freeBytes: number
  readonly #held = new Map<Holder, number>()
  /** How much each wants to hold in all, in the order of asking. */
  readonly #waiting = new Map<Holder, number>()
  #watch: NodeJS.Timeout | undefined
  #isScheduled = false

  constructor({ ownBytes, commonBytes, patienceMs }: BudgetOptions) {
    this.ownBytes = ownBytes
    this.#freeBytes = commonBytes
    this.#patienceMs = patienceMs
  }

  /** Whether `holder` may hold `bytes` in all. If not, it is told to try again when its turn comes. */
  take(holder: Holder, bytes: number): boolean {
    const isWaiting = this.#waiting.has(holder)
    const isNext = this.#waiting.size === 0 || this.#waiting.keys().next().value === holder
    if (!isNext || !this.#fits(holder, bytes)) {
      this.#waiting.set(holder, bytes)
      this.#watch ??= setInterval(() => this.#look(), this.#patienceMs).unref()
      return false
    }
    if (isWaiting) this.withdraw(holder)
    this.#change(holder, bytes)
    return true
  }

  /** `holder` needs no more than `bytes` any longer. */
  release(holder: Holder, bytes: number): void {
    if (bytes >= (this.#held.get(holder) ?? 0)) return
    this.#change(holder, bytes)
    this.#schedule()
  }

  /** `holder` does not wait any longer. */
  withdraw(holder: Holder): void {
    if (this.#waiting.delete(holder)) this.#schedule()
  }

  #fits(holder: Holder, bytes: number): boolean {
    return bytes - (this.#held.get(holder) ?? 0) <= this.#freeBytes
  }

  #change(holder: Holder, bytes: number): void {
    this.#freeBytes += (this.#held.get(holder) ?? 0) - bytes
    if (bytes > 0) this.#held.set(holder, bytes)
    else this.#held.delete(holder)
  }

  /** Not at once: whoever gives something back is in the middle of its own work. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return
    this.#isScheduled = true
    process.nextTick(() => {
      this.#isScheduled = false
      for (const [holder, bytes] of this.#waiting) {
        if (!this.#fits(holder, bytes)) break
        holder.retry()
        if (this.#waiting.has(holder)) break
      }
    })
  }

  #look(): void {
    for (const holder of this.#held.keys())
      if (holder.isStuck() && this.#waiting.size > 0) holder.dismiss()
    if (this.#held.size > 0 || this.#waiting.size > 0) return
    clearInterval(this.#watch)
    this.#watch = undefined
  }
}
