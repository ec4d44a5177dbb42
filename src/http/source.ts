import assert from 'node:assert/strict'
import { Slots } from '../block/slots.ts'
import { type BlockSource, type Came, type Extent, assertRange } from '../block/source.ts'
import { shown } from '../image-name.ts'
import { SourceChanged, SourceRefused, SourceUnavailable } from '../errors.ts'
import { WANTED } from './digest.ts'
import { type Identity, type IdentityMode, checkIdentity, pin } from './identity.ts'
import { Pace } from './pace.ts'
import { type RangeAnswer, type RangeHead, requestRange } from './range-request.ts'
import type { Headers } from './response.ts'
import { type Route, follow } from './redirects.ts'

/** The first request brings the head of the image along: header, L1 table and often more. */
const HEAD_BYTES = 128 * 1024
/** How often one read goes on where its body broke off, and once more for each so many bytes gained. */
const MOST_CUTS = 16
const GAIN_BYTES = 4096

/** What the first answer brought. */
export interface Opened {
  readonly route: Route
  readonly source: HttpSource
  readonly head: Uint8Array
  readonly headers: Headers
}

type Filled = Extract<RangeAnswer, { kind: 'range' | 'cut' }>

/** A range to be fetched. */
interface Wish {
  readonly target: Uint8Array
  readonly offset: number
  readonly came?: Came
  readonly signal?: AbortSignal
}

/** Ranges of one version of one file on one web server. */
export class HttpSource implements BlockSource {
  readonly identity: Identity
  readonly pace = new Pace()
  readonly #route: Route
  /** Where redirects led; asked first, for as long as it answers. */
  #resolved: URL
  /** Whether the URL, which is being asked where that is by now, answers. */
  #asking: Promise<boolean> | undefined
  /** Until then a server does not want to be asked, by its own words; by its origin. */
  readonly #awayUntilMs = new Map<string, number>()
  /** Who waits here can still be told to stay away; who waits for a connection cannot. */
  readonly #slots: Slots
  #requests = 0
  #receivedBytes = 0

  private constructor(route: Route, resolved: URL, identity: Identity) {
    this.#route = route
    this.#resolved = resolved
    this.identity = identity
    this.#slots = new Slots(route.connections)
  }

  /**
   * Asks for the head of the file, pins its version and hands over the bytes that came.
   * Throws `SourceUnavailable` for what may pass and `SourceRefused` for what will not.
   */
  static async open(route: Route, mode: IdentityMode, wantsDigest = false): Promise<Opened> {
    const { url, before } = route
    const head = new Uint8Array(HEAD_BYTES)
    const headers = wantsDigest ? { ...route.headers, 'want-repr-digest': WANTED } : route.headers
    const ask = (start: URL) =>
      follow({ ...route, headers }, start, (exchange) => requestRange(exchange, head, 0, () => {}))
    const { answer, resolved } = await (before === undefined ? ask(url) : either(before, url, ask))
    if (answer.kind === 'cut' && answer.filled === 0) throw answer.error
    const identity = pin(answer.headers, answer.size, mode, shown(url))
    const source = new HttpSource(route, resolved, identity)
    source.#requests++
    source.#count(answer)
    if (answer.kind === 'cut') {
      await source.read(head.subarray(answer.filled, answer.length), answer.filled)
    } else {
      using underway = source.pace.begin(answer.length)
      underway.took(answer.firstByteMs, answer.lastByteMs)
    }
    return { route, source, head: head.subarray(0, answer.length), headers: answer.headers }
  }

  get size(): number {
    return this.identity.size
  }
  /** Where redirects led. May hold a signature: not to be printed. */
  get destination(): URL {
    return this.#resolved
  }
  get counters(): { readonly requests: number; readonly receivedBytes: number } {
    return { requests: this.#requests, receivedBytes: this.#receivedBytes }
  }

  /** @param signal once it aborts, `target` is not written to any more */
  async read(target: Uint8Array, offset: number, came?: Came, signal?: AbortSignal): Promise<void> {
    assertRange(this.size, offset, target.length)
    let filled = 0
    for (let cuts = 0; ; cuts++) {
      const before = filled
      const wish: Wish = {
        target: target.subarray(filled),
        offset: offset + filled,
        ...(came && { came: (bytes) => came(before + bytes) }),
        ...(signal && { signal }),
      }
      const answer = await this.#ask(wish)
      filled += answer.kind === 'range' ? answer.length : answer.filled
      if (filled === target.length) return
      assert(answer.kind === 'cut', 'the pinned length holds the whole range')
      if (answer.filled === 0 || cuts >= MOST_CUTS + filled / GAIN_BYTES) throw answer.error
    }
  }

  /** Whether the URL itself leads to our version, wherever that was found. Throws if it may yet. */
  async isAtUrl(): Promise<boolean> {
    try {
      await this.#askAt(this.#route.url, { target: new Uint8Array(1), offset: 0 })
      return true
    } catch (error) {
      if (error instanceof SourceChanged || error instanceof SourceRefused) return false
      throw error
    }
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The connections belong to whoever opened them.
  }

  /**
   * Asks where redirects led, and if there is no answer from there the URL itself: a pre-signed
   * target expires, a server moves. What the URL leads to by now may be another version, though;
   * then the old place is kept, since only that one may have our version again.
   */
  async #ask(wish: Wish): Promise<Filled> {
    const { url } = this.#route
    const place = this.#resolved
    if (place.href === url.href) return this.#askAt(url, wish)
    try {
      return await this.#askAt(place, wish)
    } catch (failure) {
      if (wish.signal?.aborted === true) throw failure
      // Who asks us to stay away means all of his addresses.
      if (retryAfterMs(failure) > 0 && place.origin === url.origin) throw failure
      return await this.#askAnew(place, wish, failure)
    }
  }

  /** Of many whom `place` fails at once one asks the URL, and the others go where that has led. */
  async #askAnew(place: URL, wish: Wish, failure: unknown): Promise<Filled> {
    const another = this.#asking
    if (another !== undefined && !(await another)) throw failure
    if (another !== undefined || this.#resolved !== place) return this.#askAt(this.#resolved, wish)
    const asking = this.#askAt(this.#route.url, wish)
    this.#asking = asking.then(
      () => true,
      () => false,
    )
    try {
      return await asking
    } catch (error) {
      throw failure instanceof SourceUnavailable ? failure : error
    } finally {
      this.#asking = undefined
    }
  }

  async #askAt(url: URL, { target, offset, came, signal }: Wish): Promise<Filled> {
    const check = (head: RangeHead) =>
      checkIdentity(this.identity, head.headers, head.size, shown(this.#route.url))
    using underway = this.pace.begin(target.length)
    const { answer, resolved } = await this.#inTurn(url, () =>
      follow(this.#route, url, (exchange) =>
        requestRange(signal ? { ...exchange, signal } : exchange, target, offset, check, came),
      ),
    )
    // An answer from where the URL led before takes nothing back.
    if (url === this.#route.url || url === this.#resolved) this.#resolved = resolved
    this.#count(answer)
    if (answer.kind === 'range') underway.took(answer.firstByteMs, answer.lastByteMs)
    return answer
  }

  /** Asks when there is a connection for it, unless the server has said by then when it may be asked again. */
  #inTurn<T>({ origin }: URL, ask: () => Promise<T>): Promise<T> {
    const { url, clock } = this.#route
    return this.#slots.run(async () => {
      const leftMs = (this.#awayUntilMs.get(origin) ?? 0) - clock.now()
      if (leftMs > 0) {
        const failure = { where: { url: shown(url) }, retryAfterMs: leftMs }
        throw new SourceUnavailable('the server asked us to stay away for a while', failure)
      }
      this.#requests++
      try {
        return await ask()
      } catch (error) {
        this.#heed(origin, retryAfterMs(error))
        throw error
      }
    })
  }

  #heed(origin: string, askedMs: number): void {
    if (askedMs === 0) return
    const now = this.#route.clock.now()
    for (const [other, untilMs] of this.#awayUntilMs)
      if (untilMs <= now) this.#awayUntilMs.delete(other)
    this.#awayUntilMs.set(origin, now + askedMs)
  }

  #count(answer: Filled): void {
    this.#receivedBytes += answer.kind === 'range' ? answer.length : answer.filled
  }
}

/** What has answered before is asked first; what may pass there is worth waiting for. */
async function either<T>(before: URL, url: URL, ask: (start: URL) => Promise<T>): Promise<T> {
  try {
    return await ask(before)
  } catch (failure) {
    return await ask(url).catch((error: unknown) => {
      throw failure instanceof SourceUnavailable ? failure : error
    })
  }
}

function retryAfterMs(error: unknown): number {
  return error instanceof SourceUnavailable ? error.retryAfterMs : 0
}
