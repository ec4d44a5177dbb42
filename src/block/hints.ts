/** Keys that somebody will probably want, in the order in which they were named; the oldest give way. */
export class Hints {
  readonly #most: number
  readonly #keys = new Set<number>()

  constructor(most: number) {
    this.#most = most
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0
  }

  add(key: number): void {
    this.#keys.add(key)
    const [oldest] = this.#keys
    if (this.#keys.size > this.#most && oldest !== undefined) this.#keys.delete(oldest)
  }

  delete(key: number): void {
    this.#keys.delete(key)
  }

  /** The oldest and those that follow it number by number, at most `count`. */
  run(count: number): number[] {
    const [first] = this.#keys
    if (first === undefined) return []
    const run = [first]
    for (let next = first + 1; run.length < count && this.#keys.has(next); next++) run.push(next)
    return run
  }
}
