import { StoreFull } from '../errors.ts'
import { Admission } from './admission.ts'
import type { Quota } from './quota.ts'
import type { BlockDevice, CachedPiece, Completion, Extent } from './source.ts'

/** A state that lasts is said again after this long. */
const REPEAT_LINE_MS = 60_000

/**
 * A write that finds the overlay full waits, and is tried again when there is room or when its turn
 * has come to use the reserve. A mounted file system would take an error as a broken disk; reads,
 * rewrites, discards and flushes go on meanwhile, which lets the file system free something.
 */
export class WaitForRoom implements BlockDevice {
  readonly size: number
  readonly #next: BlockDevice
  readonly #admission: Admission
  readonly #report: (line: string) => void
  #waiting = 0
  #reportedAt = -Infinity

  constructor(next: BlockDevice, quota: Quota, report: (line: string) => void) {
    this.size = next.size
    this.#next = next
    this.#admission = new Admission(quota)
    this.#report = report
  }

  /** How many writes wait. */
  get waiting(): number {
    return this.#waiting
  }

  read(target: Uint8Array, offset: number): Completion {
    return this.#next.read(target, offset)
  }
  extent(offset: number, length: number): Promise<Extent> {
    return this.#next.extent(offset, length)
  }
  cached(offset: number, length: number): CachedPiece | undefined {
    return this.#next.cached?.(offset, length)
  }
  write(data: Uint8Array, offset: number): Completion {
    return this.#patiently(() => this.#next.write(data, offset))
  }
  async zero(offset: number, length: number): Promise<void> {
    return this.#patiently(() => this.#next.zero(offset, length))
  }
  async discard(offset: number, length: number): Promise<void> {
    return this.#patiently(() => this.#next.discard(offset, length))
  }
  flush(): Promise<void> {
    return this.#next.flush()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#next[Symbol.asyncDispose]()
  }

  #patiently(attempt: () => Completion): Completion {
    const done = attempt()
    return done && this.#waitOut(done, attempt)
  }

  async #waitOut(first: Promise<void>, attempt: () => Completion): Promise<void> {
    for (let under: Completion = first; under !== undefined; under = attempt()) {
      const full = await fullness(under)
      if (full === undefined) return
      this.#say(full)
      this.#waiting++
      await this.#admission.turn(full.wantedBytes)
      this.#waiting--
    }
  }

  #say(error: StoreFull): void {
    const now = performance.now()
    if (now - this.#reportedAt < REPEAT_LINE_MS) return
    this.#reportedAt = now
    this.#report(`${error.line}; new writes wait until there is room`)
  }
}

/** Undefined if the attempt went well. */
function fullness(attempt: Promise<void>): Promise<StoreFull | undefined> {
  return attempt.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof StoreFull) return error
      throw error
    },
  )
}
