import { StoreFull } from '../errors.ts'
import type { Quota } from './quota.ts'
import type { BlockDevice, Completion, Extent } from './source.ts'

/**
 * A write that finds the overlay full waits until a discard makes room, and is tried again.
 * A mounted file system would take an error as a broken disk; reads, rewrites, discards and
 * flushes go on meanwhile, which is what lets the file system free something.
 */
export class WaitForRoom implements BlockDevice {
  readonly size: number
  readonly #next: BlockDevice
  readonly #quota: Quota
  readonly #report: (line: string) => void

  constructor(next: BlockDevice, quota: Quota, report: (line: string) => void) {
    this.size = next.size
    this.#next = next
    this.#quota = quota
    this.#report = report
  }

  read(target: Uint8Array, offset: number): Completion {
    return this.#next.read(target, offset)
  }
  extent(offset: number, length: number): Promise<Extent> {
    return this.#next.extent(offset, length)
  }
  write(data: Uint8Array, offset: number): Completion {
    return this.#patiently(() => this.#next.write(data, offset))
  }
  async zero(offset: number, length: number): Promise<void> {
    return this.#patiently(() => this.#next.zero(offset, length))
  }
  discard(offset: number, length: number): Promise<void> {
    return this.#next.discard(offset, length)
  }
  flush(): Promise<void> {
    return this.#next.flush()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#next[Symbol.asyncDispose]()
  }

  #patiently(attempt: () => Completion): Completion {
    const { gifts } = this.#quota
    const done = attempt()
    return done && this.#waitOut(done, gifts, attempt)
  }

  /** `gifts` are those that were made before the attempt that is under way. */
  async #waitOut(first: Completion, gifts: number, attempt: () => Completion): Promise<void> {
    let under = first
    for (let tries = 0; ; tries++) {
      try {
        await under
        return
      } catch (error) {
        if (!(error instanceof StoreFull)) throw error
        if (tries === 0) this.#report(`${error.line}; new writes wait until there is room`)
      }
      // Room made between the failure and this line must not be slept through.
      if (this.#quota.gifts === gifts) await this.#quota.room()
      gifts = this.#quota.gifts
      under = attempt()
    }
  }
}
