/**
 * Values by key, the least recently used dropped once their bytes pass a limit, each made once
 * however many ask for it at the same time. A failure is handed to those who wait and forgotten.
 */
export class ByteCache<V extends { readonly byteLength: number }> {
  readonly #limitBytes: number
  /** Insertion order is the order of use: what is touched moves to the end. */
  readonly #held = new Map<number, V>()
  readonly #making = new Map<number, Promise<V>>()
  readonly #dropped: (key: number, value: V) => void
  #heldBytes = 0

  /**
   * The newest value is kept even when it alone is larger than the limit.
   *
   * @param dropped told of what had to go
   */
  constructor(limitBytes: number, dropped: (key: number, value: V) => void = () => {}) {
    this.#limitBytes = limitBytes
    this.#dropped = dropped
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** The value, if it is held; touching it. */
  get(key: number): V | undefined {
    const value = this.#held.get(key)
    if (value === undefined) return undefined
    this.#held.delete(key)
    this.#held.set(key, value)
    return value
  }

  /** Whether the value is held or on its way. */
  has(key: number): boolean {
    return this.#held.has(key) || this.#making.has(key)
  }

  put(key: number, value: V): void {
    const old = this.#held.get(key)
    if (old !== undefined) {
      this.#heldBytes -= old.byteLength
      this.#held.delete(key)
    }
    this.#held.set(key, value)
    this.#heldBytes += value.byteLength
    for (const [oldest, dropped] of this.#held) {
      if (this.#heldBytes <= this.#limitBytes || oldest === key) break
      this.#held.delete(oldest)
      this.#heldBytes -= dropped.byteLength
      this.#dropped(oldest, dropped)
    }
  }

  /** The value held, being made, or made now by `make`. */
  getOrMake(key: number, make: () => Promise<V>): V | Promise<V> {
    return this.get(key) ?? this.#making.get(key) ?? this.promise(key, make())
  }

  /** Announces a value that is on its way, so that others wait for it. */
  promise(key: number, making: Promise<V>): Promise<V> {
    const kept = making.then(
      (value) => {
        this.#making.delete(key)
        this.put(key, value)
        return value
      },
      (error: unknown) => {
        this.#making.delete(key)
        throw error
      },
    )
    this.#making.set(key, kept)
    return kept
  }
}
