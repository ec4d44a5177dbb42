import { setTimeout as sleep } from 'node:timers/promises'
import { type NetcowError, SourceChanged, SourceRefused, SourceUnavailable } from '../errors.ts'
import type { BlockSource, Extent } from './source.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 15_000
/** A state that lasts is said again after this long, so that a console shows that it still lasts. */
const REPEAT_LINE_MS = 10_000

export interface RetryPolicy {
  /** Gives up and throws after this long, counted from the first failure; Infinity never. */
  readonly timeoutMs: number
  /** Takes one line for the user when waiting begins, while it lasts, and when it is over. */
  readonly report: (line: string) => void
  /** Ends the waiting when whoever asked is gone. */
  readonly signal?: AbortSignal
}

/** Repeats `attempt` while it fails with an error that `passes` by itself. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  passes: (error: unknown) => error is NetcowError,
  policy: RetryPolicy,
): Promise<T> {
  let since: number | undefined
  let reportedAt = -Infinity
  for (let tries = 1; ; tries++) {
    try {
      const value = await attempt()
      if (since !== undefined) policy.report(`the source answers again after ${waited(since)}`)
      return value
    } catch (error) {
      if (!passes(error)) throw error
      const now = performance.now()
      since ??= now
      const pause = pauseMs(tries, error)
      if (now - since + pause > policy.timeoutMs) throw error
      if (now - reportedAt >= REPEAT_LINE_MS) {
        reportedAt = now
        policy.report(`waiting for the source, ${waited(since)}, ${tries} tries: ${error.line}`)
      }
      await sleep(pause, undefined, policy.signal === undefined ? {} : { signal: policy.signal })
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

/** What passes by itself while an image is opened: the source is away, not unwilling. */
export function isAway(error: unknown): error is SourceUnavailable {
  return error instanceof SourceUnavailable
}

/** What is waited out once the image is in use: everything of the source. */
export function isOfSource(
  error: unknown,
): error is SourceUnavailable | SourceRefused | SourceChanged {
  return (
    error instanceof SourceUnavailable ||
    error instanceof SourceRefused ||
    error instanceof SourceChanged
  )
}

/** Waits out every failure of a source in use, so that a root disk never sees one. */
export class RetrySource implements BlockSource {
  readonly #base: BlockSource
  readonly #policy: RetryPolicy
  readonly #closing = new AbortController()

  constructor(base: BlockSource, policy: RetryPolicy) {
    this.#base = base
    this.#policy = { ...policy, signal: this.#closing.signal }
  }

  get size(): number {
    return this.#base.size
  }
  read(target: Uint8Array, offset: number): Promise<void> {
    return retrying(() => this.#base.read(target, offset), isOfSource, this.#policy)
  }
  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    return this.#base[Symbol.asyncDispose]()
  }
}
