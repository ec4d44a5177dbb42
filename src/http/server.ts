import { awayMs, backoffMs } from '../block/backoff.ts'
import type { Clock } from '../block/clock.ts'
import { type NetcowError, SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { textOf } from './identity.ts'
import type { HttpSource } from './source.ts'
import type { ServerState } from './state.ts'

/** A place that has another file is looked at again after this at the latest. */
const LONGEST_OUTSIDE_MS = 300_000

/** One of the places that have the file, and how it has behaved. */
export class Server {
  readonly url: URL
  readonly #clock: Clock
  #source: HttpSource | undefined
  #failures = 0
  #failure: NetcowError | undefined
  #notBeforeMs = -Infinity
  /** Until then it does not want to be asked, by its own words. */
  #awayUntilMs = -Infinity
  /** Where this machine stands among all that it sends away, see `awayMs`. */
  #lateness = Math.random()

  constructor(url: URL, clock: Clock) {
    this.url = url
    this.#clock = clock
  }

  /** The ranges of our version; undefined until the place is known to have it. */
  get source(): HttpSource | undefined {
    return this.#source
  }
  get failures(): number {
    return this.#failures
  }
  /** How long to leave it alone; 0 when it may be asked. */
  get pauseMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#clock.now())
  }
  /** It has said itself how long. */
  get askedToStayAway(): boolean {
    return this.#clock.now() < this.#awayUntilMs
  }
  get state(): ServerState {
    const source = this.#source
    const failing = this.#failures > 0
    const firstByteMs = source?.pace.firstByteMs
    return {
      url: shown(this.url),
      state: source === undefined ? 'outside' : failing ? 'failing' : 'good',
      ...(source && { identity: textOf(source.identity) }),
      failures: this.#failures,
      ...(this.#failure && { failure: this.#failure.line }),
      ...(source?.counters ?? { requests: 0, receivedBytes: 0 }),
      ...(firstByteMs !== undefined && { firstByteMs: Math.round(firstByteMs * 10) / 10 }),
    }
  }

  admit(source: HttpSource): void {
    this.#source = source
    this.answered()
  }
  answered(): void {
    this.#failures = 0
    this.#failure = undefined
    this.#notBeforeMs = -Infinity
    this.#awayUntilMs = -Infinity
  }
  failed(error: NetcowError): void {
    this.#failure = error
    const away = error instanceof SourceUnavailable
    const longestMs = this.#source || away ? undefined : LONGEST_OUTSIDE_MS
    const now = this.#clock.now()
    // What else fails at the same time, as requests under way do, is the same failure: it makes the
    // pause no longer, and takes nothing back of what the server asked for.
    if (this.#failures === 0 || this.pauseMs === 0) this.#failures++
    if (away) this.#stayAway(now, error.retryAfterMs)
    const pauseMs = backoffMs(this.#failures, longestMs)
    this.#notBeforeMs = Math.max(now, this.#awayUntilMs) + pauseMs
  }

  #stayAway(now: number, askedMs: number): void {
    if (this.#awayUntilMs < now) this.#lateness = Math.random()
    this.#awayUntilMs = Math.max(this.#awayUntilMs, now + awayMs(askedMs, this.#lateness))
  }
}
