/** Remembers the keys that it was last asked about, up to a number of them. */
export class SeenOnce {
  readonly #most: number
  readonly #keys = new Set<number>()

  constructor(most: number) {
    this.#most = most
  }

  /** Whether `key` was asked about before; it is forgotten then. */
  again(key: number): boolean {
    if (this.#keys.delete(key)) return true
    this.#keys.add(key)
    if (this.#keys.size > this.#most)
      for (const oldest of this.#keys) {
        this.#keys.delete(oldest)
        break
      }
    return false
  }
}
