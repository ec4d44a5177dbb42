/**
 * Who may do what with a cluster: any number of writes into its place at once, but nobody else while
 * its place is given to it or taken from it.
 */
export class ClusterLocks {
  readonly #held = new Map<number, Lock>()

  shared<T>(cluster: number, work: () => Promise<T>): Promise<T> {
    return this.#with(cluster, false, work)
  }
  exclusive<T>(cluster: number, work: () => Promise<T>): Promise<T> {
    return this.#with(cluster, true, work)
  }

  async #with<T>(cluster: number, alone: boolean, work: () => Promise<T>): Promise<T> {
    const lock = this.#held.getOrInsertComputed(cluster, () => new Lock())
    await lock.acquire(alone)
    try {
      return await work()
    } finally {
      if (lock.release()) this.#held.delete(cluster)
    }
  }
}

class Lock {
  #holders = 0
  #alone = false
  readonly #waiting: { readonly alone: boolean; readonly start: () => void }[] = []

  acquire(alone: boolean): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#admits(alone)) {
      this.#enter(alone)
      return undefined
    }
    return new Promise((start) => this.#waiting.push({ alone, start }))
  }

  /** True if nobody holds it or waits for it any more. */
  release(): boolean {
    this.#holders--
    this.#alone = false
    for (;;) {
      const [next] = this.#waiting
      if (next === undefined || !this.#admits(next.alone)) break
      this.#waiting.shift()
      this.#enter(next.alone)
      next.start()
    }
    return this.#holders === 0
  }

  #admits(alone: boolean): boolean {
    return this.#holders === 0 || (!this.#alone && !alone)
  }

  #enter(alone: boolean): void {
    this.#holders++
    this.#alone = alone
  }
}
