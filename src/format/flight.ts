/**
 * Promises under way side by side, at most `limit` of them. A failure is kept until `land`, which
 * waits for all of them first: nothing still writes into a buffer that its owner has back.
 */
export class Flight {
  readonly #limit: number
  readonly #under = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** Resolves as soon as there is room for another one; never rejects. */
  async add(promise: Promise<void>): Promise<void> {
    const landed = promise
      .catch((error: unknown) => this.fail(error))
      .finally(() => this.#under.delete(landed))
    this.#under.add(landed)
    if (this.#under.size >= this.#limit) await Promise.race(this.#under)
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  async land(): Promise<void> {
    await Promise.all(this.#under)
    if (this.#failure) throw this.#failure.error
  }
}
