import { setTimeout as sleep } from 'node:timers/promises'
import { type NetcowError, SourceChanged, SourceRefused, SourceUnavailable } from '../errors.ts'
import type { BlockSource, Extent } from './source.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 15_000
/** A state that lasts is said again after this long, so that a console shows that it still lasts. */
const REPEAT_LINE_MS = 10_000

export interface RetryPolicy {
  /** Whether this failure passes by itself, so that trying again makes sense. */
  passes(error: unknown): error is NetcowError
  /** Gives up and throws after this long, counted from the first failure; Infinity never. */
  readonly timeoutMs: number
  /** Takes one line for the user when waiting begins, while it lasts, and when it is over. */
  readonly report: (line: string) => void
}

/** Repeats `attempt` while it fails with an error that passes by itself; `signal` ends a pause. */
export async function retrying<T>(
  attempt: () => Promise<T> | T,
  policy: RetryPolicy,
  signal?: AbortSignal,
): Promise<T> {
  let since: number | undefined
  let reportedAt = -Infinity
  for (let tries = 1; ; tries++) {
    try {
      const value = await attempt()
      if (since !== undefined) policy.report(`the source answers again after ${waited(since)}`)
      return value
    } catch (error) {
      if (!policy.passes(error)) throw error
      const now = performance.now()
      since ??= now
      const pause = pauseMs(tries, error)
      if (now - since + pause > policy.timeoutMs) throw error
      if (now - reportedAt >= REPEAT_LINE_MS) {
        reportedAt = now
        policy.report(`waiting for the source (${waited(since)}, try ${tries}): ${error.line}`)
      }
      await sleep(pause, undefined, signal === undefined ? {} : { signal })
    }
  }
}

/** Doubles from try to try; the jitter keeps a thousand machines from coming back as one. */
function pauseMs(tries: number, error: NetcowError): number {
  const asked = error instanceof SourceUnavailable ? error.retryAfterMs : 0
  const step = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 10))
  return asked + step * (0.5 + Math.random() / 2)
}

function waited(since: number): string {
  return `${Math.round((performance.now() - since) / 1000)} s`
}

/**
 * While an image is being opened only a source that is away is waited for, and not longer than the
 * user said. Once the image is in use, everything of the source is waited out, for ever.
 */
export class Patience implements RetryPolicy {
  readonly report: (line: string) => void
  readonly #openMs: number
  #inUse = false

  constructor(openMs: number, report: (line: string) => void) {
    this.#openMs = openMs
    this.report = report
  }

  get timeoutMs(): number {
    return this.#inUse ? Infinity : this.#openMs
  }

  passes(error: unknown): error is NetcowError {
    if (error instanceof SourceUnavailable) return true
    return this.#inUse && (error instanceof SourceRefused || error instanceof SourceChanged)
  }

  /** From now on someone depends on the image. */
  useBegins(): void {
    this.#inUse = true
  }
}

/** Waits out every failure of a source in use, so that a root disk never sees one. */
export class RetrySource implements BlockSource {
  readonly #base: BlockSource
  readonly #policy: RetryPolicy
  readonly #closing = new AbortController()

  constructor(base: BlockSource, policy: RetryPolicy) {
    this.#base = base
    this.#policy = policy
  }

  get size(): number {
    return this.#base.size
  }
  read(target: Uint8Array, offset: number): Promise<void> {
    return retrying(() => this.#base.read(target, offset), this.#policy, this.#closing.signal)
  }
  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    return this.#base[Symbol.asyncDispose]()
  }
}
