import { type NetcowError, SourceChanged, SourceRefused, SourceUnavailable } from '../errors.ts'
import { awayMs, backoffMs } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'
import type { BlockSource, Came, Extent } from './source.ts'

/** What passes sooner than this is not worth a line. */
const UNSAID_MS = 1000
/** A state that lasts is said again after this long, so that a console shows that it still lasts. */
const REPEAT_LINE_MS = 10_000
/** The file on the server was replaced: that does not pass by itself, so it is said less often. */
const REPEAT_CHANGED_MS = 60_000

export interface RetryPolicy {
  /** Whether this failure passes by itself, so that trying again makes sense. */
  passes(error: unknown): error is NetcowError
  /** Gives up and throws after this long, counted from the first failure; Infinity never. */
  readonly timeoutMs: number
  /** Takes one line for the user when waiting begins, while it lasts, and when it is over. */
  readonly report: (line: string) => void
  readonly clock: Clock
}

/** What is waited for just now. */
export interface Waiting {
  /** The line of the newest failure. */
  readonly reason: string
  readonly waitedMs: number
  /** How often the source was asked in vain. */
  readonly tries: number
  /** How many reads wait. */
  readonly reads: number
}

/** One spell of a source being away. */
interface Outage {
  readonly sinceMs: number
  readonly over: AbortController
  /** Until then nobody knocks, because the server asked for that. */
  notBeforeMs: number
  /** Where this machine stands among all that were asked for it, see `awayMs`. */
  readonly lateness: number
  /** The newest failure. */
  error: NetcowError
  tries: number
  /** Others are answered, as by a cache that has what they want: only what has failed waits. */
  isPartial: boolean
  waiting: number
  /** Said on the console, so that its end is said, too. */
  said: boolean
  /** Resolves when everyone who came before has had their turn. */
  turns: Promise<void>
}

/**
 * Repeats what fails with an error that passes by itself. While the source is away only one of
 * those who wait knocks at a time, each in turn; whoever is let in lets in all the others. What then
 * fails again, while others are answered, waits for itself and holds up nobody else.
 */
export class Persistence {
  readonly #policy: RetryPolicy
  readonly #closing = new AbortController()
  #outage: Outage | undefined
  #saidAtMs = -Infinity

  constructor(policy: RetryPolicy) {
    this.#policy = policy
  }

  get waiting(): Waiting | undefined {
    const outage = this.#outage
    if (outage === undefined) return undefined
    const { error, tries, waiting } = outage
    return { reason: error.line, waitedMs: this.#lasted(outage), tries, reads: waiting }
  }

  async run<T>(attempt: () => Promise<T> | T): Promise<T> {
    if (this.#outage?.isPartial === false) await this.#turn(this.#outage)
    let failedAtMs: number | undefined
    for (;;) {
      this.#closing.signal.throwIfAborted()
      try {
        const value = await attempt()
        this.#answered(failedAtMs !== undefined)
        return value
      } catch (error) {
        const passes = this.#policy.passes(error)
        const again = failedAtMs !== undefined
        failedAtMs ??= this.#policy.clock.now()
        if (passes && (await this.#wait(error, failedAtMs, again))) continue
        if (this.#outage?.waiting === 0) this.#outage = undefined
        throw error
      }
    }
  }

  /** Ends all pauses; what waits is thrown an AbortError. */
  close(): void {
    this.#closing.abort()
  }

  /**
   * Waits until it makes sense to try again; false when that would be too late.
   *
   * @param sinceMs when this attempt failed first: others may have been answered since
   * @param again whether this is not its first failure
   */
  async #wait(error: NetcowError, sinceMs: number, again: boolean): Promise<boolean> {
    const { clock, timeoutMs } = this.#policy
    // What fails again although the last outage is over has seen that others are answered.
    const outage = (this.#outage ??= begun(error, sinceMs, again))
    if (!again) outage.isPartial = false
    outage.error = error
    if (error instanceof SourceUnavailable) {
      const away = awayMs(error.retryAfterMs, outage.lateness)
      outage.notBeforeMs = Math.max(outage.notBeforeMs, clock.now() + away)
    }
    if (this.#lasted(outage) + this.#pauseMs(outage) > timeoutMs) return false
    this.#say(outage)
    await this.#turn(outage)
    return true
  }

  /** Waits for the others who came before and then for a pause, or until someone was answered. */
  async #turn(outage: Outage): Promise<void> {
    const signal = AbortSignal.any([outage.over.signal, this.#closing.signal])
    const before = outage.turns
    const turn = async () => {
      await before
      if (signal.aborted) return
      await this.#pause(outage, signal).catch(() => {})
      // What fails together is one failure; only who knocks makes the next pause longer.
      outage.tries++
    }
    outage.turns = turn()
    outage.waiting++
    await outage.turns
    outage.waiting--
  }

  /** A pause that the server asked for may be long, and is said again while it lasts. */
  async #pause(outage: Outage, signal: AbortSignal): Promise<void> {
    for (let leftMs = this.#pauseMs(outage); leftMs > 0; leftMs -= REPEAT_LINE_MS) {
      this.#say(outage, leftMs)
      await this.#policy.clock.sleep(Math.min(leftMs, REPEAT_LINE_MS), signal)
    }
  }

  #pauseMs({ notBeforeMs, tries }: Outage): number {
    return Math.max(0, notBeforeMs - this.#policy.clock.now()) + backoffMs(tries)
  }

  #answered(hadFailed: boolean): void {
    const outage = this.#outage
    if (outage === undefined || (outage.isPartial && !hadFailed)) return
    this.#outage = undefined
    outage.over.abort()
    if (outage.said) this.#policy.report(`the source answers again after ${this.#waited(outage)}`)
  }

  #say(outage: Outage, leftMs = 0): void {
    const { error } = outage
    const changed = error instanceof SourceChanged
    const now = this.#policy.clock.now()
    if (now - this.#saidAtMs < (changed ? REPEAT_CHANGED_MS : REPEAT_LINE_MS)) return
    if (!changed && this.#lasted(outage) + leftMs < UNSAID_MS) return
    this.#saidAtMs = now
    outage.said = true
    const times = `${this.#waited(outage)}, try ${outage.tries}`
    this.#policy.report(`waiting for the source (${times}): ${error.line}`)
  }

  #lasted({ sinceMs }: Outage): number {
    return this.#policy.clock.now() - sinceMs
  }

  #waited(outage: Outage): string {
    return `${Math.round(this.#lasted(outage) / 1000)} s`
  }
}

function begun(error: NetcowError, sinceMs: number, isPartial: boolean): Outage {
  return {
    sinceMs,
    over: new AbortController(),
    notBeforeMs: sinceMs,
    lateness: Math.random(),
    error,
    tries: 1,
    isPartial,
    waiting: 0,
    said: false,
    turns: Promise.resolve(),
  }
}

/**
 * While an image is being opened only a source that is away is waited for, and not longer than the
 * user said. Once the image is in use, everything of the source is waited out, for ever.
 */
export class Patience implements RetryPolicy {
  readonly report: (line: string) => void
  readonly clock: Clock
  readonly #openMs: number
  #inUse = false

  constructor(openMs: number, report: (line: string) => void, clock: Clock = systemClock) {
    this.report = report
    this.clock = clock
    this.#openMs = openMs
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
  readonly #persistence: Persistence

  constructor(base: BlockSource, policy: RetryPolicy) {
    this.#base = base
    this.#persistence = new Persistence(policy)
  }

  get size(): number {
    return this.#base.size
  }
  get waiting(): Waiting | undefined {
    return this.#persistence.waiting
  }
  read(target: Uint8Array, offset: number, came?: Came): Promise<void> {
    return this.#persistence.run(() => this.#base.read(target, offset, came))
  }
  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }
  [Symbol.asyncDispose](): Promise<void> {
    this.#persistence.close()
    return this.#base[Symbol.asyncDispose]()
  }
}
