import type { BlockSource } from './source.ts'

interface Waiting {
  /** How much of the block is wanted, from its beginning. */
  readonly bytes: number
  readonly resolve: (held: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

/** A block on its way. It comes from its beginning on, and whoever wants a part waits for no more. */
export class Arrival {
  readonly block: number
  readonly #whole = Promise.withResolvers<Uint8Array>()
  #waiting: Waiting[] = []
  /** Where it comes to. */
  #held: Uint8Array = new Uint8Array(0)
  #came = 0
  #failed = false

  constructor(block: number) {
    this.block = block
  }

  get whole(): Promise<Uint8Array> {
    return this.#whole.promise
  }

  /** Resolves with memory that holds the first `bytes` of the block, when they are there. */
  until(bytes: number): Promise<Uint8Array> {
    if (bytes <= this.#came) return Promise.resolve(this.#held)
    if (this.#failed) return this.whole
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    this.#waiting.push({ bytes, resolve, reject })
    return promise
  }

  /** The first `bytes` are at the beginning of `held` for good. */
  came(held: Uint8Array, bytes: number): void {
    // What is asked for again after a failure comes from the beginning.
    if (bytes <= this.#came) return
    this.#held = held
    this.#came = bytes
    const waiting = this.#waiting
    this.#waiting = waiting.filter((one) => one.bytes > bytes)
    for (const one of waiting) if (one.bytes <= bytes) one.resolve(held)
  }

  /** All of it is there. */
  end(block: Uint8Array): void {
    this.came(block, block.length)
    this.#whole.resolve(block)
  }

  /** Nothing more of it will come. */
  fail(error: unknown): void {
    this.#failed = true
    this.#whole.reject(error)
    for (const { reject } of this.#waiting) reject(error)
  }
}

/**
 * Fetches neighbouring blocks into `buffer`, which is theirs, by one read. Returns whether they came;
 * never rejects.
 */
export async function fetched(
  source: BlockSource,
  run: readonly Arrival[],
  blockBytes: number,
  buffer: Uint8Array,
): Promise<boolean> {
  const partAt = (index: number) => buffer.subarray(index * blockBytes, (index + 1) * blockBytes)
  /** The first that is not there as a whole. */
  let index = 0
  const came = (bytes: number) => {
    for (; index < run.length; index++) {
      const here = bytes - index * blockBytes
      if (here > 0) run[index]!.came(partAt(index), Math.min(here, blockBytes))
      if (here < blockBytes) break
    }
  }
  try {
    await source.read(buffer, run[0]!.block * blockBytes, came)
  } catch (error) {
    for (const arrival of run) arrival.fail(error)
    return false
  }
  // A copy unless it is all, so that a dropped block frees its bytes although neighbours are kept.
  for (const [at, arrival] of run.entries())
    arrival.end(run.length > 1 ? partAt(at).slice() : buffer)
  return true
}
