import { awayMs, backoffMs } from '../block/backoff.ts'
import { type Clock, systemClock } from '../block/clock.ts'
import { type NetcowError, SourceChanged, SourceRefused, SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { textOf } from './identity.ts'
import type { HttpOptions } from './options.ts'
import type { HttpSource } from './source.ts'
import type { ServerState } from './state.ts'

/** A place that has another file is looked at again after this at the latest. */
const LONGEST_OUTSIDE_MS = 300_000
const NOTHING = { requests: 0, receivedBytes: 0 }

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
  /** It had our version, and now has another. */
  #hasChanged = false
  /** How often the version that it has now was looked at in vain, and when that is to be done again. */
  #looks = 0
  #lookNotBeforeMs = -Infinity
  #unproven: string | undefined
  /** Of the sources that it had before. */
  #earlier = NOTHING

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
  /** Whether to look if what it has now is our version under another name. */
  get isToBeLookedAtAgain(): boolean {
    const due = this.#clock.now() >= this.#lookNotBeforeMs
    return this.#hasChanged && due && !this.askedToStayAway
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
      ...this.#counters,
      ...(firstByteMs !== undefined && { firstByteMs: Math.round(firstByteMs * 10) / 10 }),
    }
  }

  admit(source: HttpSource): void {
    this.#earlier = this.#counters
    this.#source = source
    this.answered()
  }
  answered(): void {
    this.#failures = 0
    this.#failure = undefined
    this.#notBeforeMs = -Infinity
    this.#awayUntilMs = -Infinity
    this.#hasChanged = false
    this.#looks = 0
    this.#lookNotBeforeMs = -Infinity
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
    if (this.#source && error instanceof SourceChanged) this.#hasChanged = true
    const pauseMs = backoffMs(this.#failures, longestMs)
    this.#notBeforeMs = Math.max(now, this.#awayUntilMs) + pauseMs
  }

  /** Was this version looked at in vain? What lies beside it then may be ahead of it later. */
  isUnproven({ identity }: HttpSource): boolean {
    return textOf(identity) === this.#unproven
  }
  /** @param source what it has now, unless even that was not to be found out */
  lookedInVain(error: NetcowError, source: HttpSource | undefined): void {
    const now = this.#clock.now()
    if (source && error instanceof SourceRefused) this.#unproven = textOf(source.identity)
    if (error instanceof SourceUnavailable) this.#stayAway(now, error.retryAfterMs)
    this.#lookNotBeforeMs = now + backoffMs(++this.#looks, LONGEST_OUTSIDE_MS)
  }

  get #counters(): { readonly requests: number; readonly receivedBytes: number } {
    const { requests, receivedBytes } = this.#source?.counters ?? NOTHING
    return {
      requests: this.#earlier.requests + requests,
      receivedBytes: this.#earlier.receivedBytes + receivedBytes,
    }
  }

  #stayAway(now: number, askedMs: number): void {
    if (this.#awayUntilMs < now) this.#lateness = Math.random()
    this.#awayUntilMs = Math.max(this.#awayUntilMs, now + awayMs(askedMs, this.#lateness))
  }
}

/** The URL of a file and its mirrors, before anything is known of them. */
export function serversOf(url: URL, options: HttpOptions): readonly [Server, ...Server[]] {
  const server = (place: URL) => new Server(place, options.clock ?? systemClock)
  return [server(url), ...options.mirrors.map(server)]
}

/** Without having asked: all of them want to be left alone. */
export function sentAway(servers: readonly Server[]): SourceUnavailable {
  const retryAfterMs = Math.min(...servers.map(({ pauseMs }) => pauseMs || Infinity))
  return new SourceUnavailable('the server asked us to stay away for a while', {
    where: { url: shown(servers[0]!.url) },
    retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0,
  })
}
