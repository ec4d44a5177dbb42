import type { Clock } from '../block/clock.ts'
import { RangesRefused, SourceRefused, SourceUnavailable, isNetcowError } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Digests, equalDigests, reprDigests, sha256Digests } from './digest.ts'
import { type Route, follow } from './redirects.ts'
import type { HttpSource, Opened } from './source.ts'
import { requestWhole } from './whole-request.ts'

/** A line of sha256sum, with the longest name that a file may have. */
const SIDECAR_BYTES = 4096

/**
 * The version of a file that was opened first, and the proof that another place has the same: an
 * equal strong ETag, or an equal digest of the whole file, which comes as `Repr-Digest` or lies
 * beside the file as URL.sha256. What the first answers brought must be equal besides.
 */
export class Original {
  readonly #opened: Opened
  /** Itself, and what has the same ETag: one knows the digest when the other is away. */
  readonly #copies: [Copy, ...Copy[]]
  #digests: Promise<Digests> | undefined
  /** What was known when a place had another version for the first time. */
  #known: Digests
  #hasChanged = false

  constructor(opened: Opened) {
    this.#opened = opened
    this.#copies = [opened]
    this.#known = reprDigests(opened.headers)
  }

  get size(): number {
    return this.#opened.source.size
  }

  /** Of the whole file, in base64; undefined if there is none. Throws what asking for it fails with. */
  async sha256(): Promise<string | undefined> {
    return (await this.#ownDigests()).get('sha-256')
  }

  /** Throws `SourceRefused` unless what was opened at another place is proven to be the same. */
  async prove(opened: Opened): Promise<void> {
    this.#assertBeginsAlike(opened)
    const { route, source, headers } = opened
    if (sameEtag(this.#opened, opened)) {
      this.#copies.push({ route, source, headers })
      return
    }
    const [ours, theirs] = await Promise.all([this.#ownDigests(), digestsOf(opened)])
    if (equalDigests(ours, theirs)) return
    throw new SourceRefused('nothing proves that the mirror has the same file', {
      where: this.#where(opened),
      advice:
        'put a .sha256 beside both, no older than the file, or let both send the same strong ETag',
    })
  }

  /** A place has another version by now: what lies beside a file may from here on be about that one. */
  changed(): void {
    this.#hasChanged = true
  }

  /** Whether the digest of our version was known in time to know it again under another name. */
  get isKnown(): boolean {
    return this.#known.size > 0
  }

  /**
   * The same for a place that had our version and then another: who replaces a file does so before
   * writing what lies beside it, so that the old digest is beside the new file for a while.
   */
  async proveAgain(opened: Opened): Promise<void> {
    this.#assertBeginsAlike(opened)
    if (sameEtag(this.#opened, opened)) return
    if (equalDigests(this.#known, await newerDigests(opened))) return
    throw new SourceRefused('nothing proves that the old version is back', {
      where: this.#where(opened),
      advice: 'write the file again and then the .sha256 beside it',
    })
  }

  #assertBeginsAlike(opened: Opened): void {
    const { source, head } = opened
    if (source.size === this.size && Buffer.compare(head, this.#opened.head) === 0) return
    throw new SourceRefused('the mirror has another file', { where: this.#where(opened) })
  }

  #where({ route }: Opened): Readonly<Record<string, string>> {
    return { url: shown(route.url), original: shown(this.#opened.route.url) }
  }

  async #ownDigests(): Promise<Digests> {
    this.#digests ??= this.#proven()
    try {
      const digests = await this.#digests
      if (!this.#hasChanged) this.#known = digests
      return digests
    } catch (error) {
      this.#digests = undefined
      throw error
    }
  }

  /** From the first copy that answers. */
  async #proven(): Promise<Digests> {
    const failures: unknown[] = []
    for (const copy of this.#copies) {
      try {
        return await provenDigests(copy)
      } catch (error) {
        failures.push(error)
      }
    }
    throw worstOf(failures)
  }
}

type Copy = Omit<Opened, 'head'>

/** Of the version that was opened: it must still be there once the digest is. */
async function provenDigests(copy: Copy): Promise<Digests> {
  const digests = await digestsOf(copy)
  await copy.source.read(new Uint8Array(1), 0)
  return digests
}

/** How long the image's own server has precedence over a mirror that has already answered. */
const PRECEDENCE_MS = 3000

/**
 * The first of `openings` that succeeds; the first in order has precedence for a while. When that one
 * has the file but no ranges, the others have as long to come up with some.
 */
export async function firstOpened(
  openings: readonly [Promise<Opened>, ...Promise<Opened>[]],
  clock: Clock,
): Promise<Opened> {
  const [favourite] = openings
  const any = Promise.any(openings)
  const decided = new AbortController()
  const pause = () => clock.sleep(PRECEDENCE_MS, decided.signal)
  const answer = favourite.catch(async (error: unknown) => {
    if (!(error instanceof RangesRefused)) return
    const other = await Promise.race([any.catch(() => {}), pause()])
    if (other === undefined) throw error
  })
  const late = any.then(pause).catch(() => answer)
  try {
    const first = await Promise.race([answer, late])
    return first ?? (await any)
  } catch (error) {
    throw error instanceof AggregateError ? worstOf(error.errors) : error
  } finally {
    decided.abort()
  }
}

/**
 * The failure that says most: one that passes by itself, so that it is waited for, or the first. One
 * that wants to be left alone keeps nobody from the others.
 */
export function worstOf(errors: readonly unknown[]): unknown {
  const unforeseen = errors.find((error) => !isNetcowError(error))
  if (unforeseen !== undefined) return unforeseen
  const soonest = errors.toSorted((one, other) => retryAfterMs(one) - retryAfterMs(other))
  return soonest.find((error) => !(error instanceof SourceRefused)) ?? errors[0]
}

function retryAfterMs(error: unknown): number {
  return error instanceof SourceUnavailable ? error.retryAfterMs : 0
}

function sameEtag(one: Opened, other: Opened): boolean {
  const [left, right] = [one.source.identity.validator, other.source.identity.validator]
  return left.kind === 'etag' && right.kind === 'etag' && left.value === right.value
}

async function digestsOf({ route, source, headers }: Copy): Promise<Digests> {
  const sent = reprDigests(headers)
  if (sent.has('sha-256')) return sent
  // What is older than the file is about the version before it; who says no times is taken at his word.
  const counts = (writtenMs: number) => !(writtenMs < modifiedMs(headers))
  return new Map([...sent, ...(await besides(route, source, counts))])
}

/** Where redirects led, or else beside the URL itself: that may lead to another version by now. */
async function besides(route: Route, source: HttpSource, counts: Counts): Promise<Digests> {
  const { destination } = source
  const there = await sidecar(route, destination, counts)
  if (there.size > 0 || destination.href === route.url.href) return there
  const named = await sidecar(route, route.url, counts)
  return named.size === 0 || (await source.isAtUrl()) ? named : new Map()
}

/** Only such as are known to be no older than the file, which is still there once they are. */
async function newerDigests({ route, source, headers }: Opened): Promise<Digests> {
  const sent = reprDigests(headers)
  if (sent.has('sha-256')) return sent
  const isNewer = (writtenMs: number) => writtenMs >= modifiedMs(headers)
  const found = await sidecar(route, source.destination, isNewer)
  await source.read(new Uint8Array(1), 0)
  return new Map([...sent, ...found])
}

/** NaN where nothing is said of it. */
function modifiedMs(headers: Opened['headers']): number {
  return Date.parse(headers['last-modified'] ?? '')
}

/** Whether what was written then proves something; NaN is unknown. */
type Counts = (writtenMs: number) => boolean

async function sidecar(route: Route, file: URL, counts: Counts): Promise<Digests> {
  const url = new URL(file)
  url.pathname += '.sha256'
  try {
    const { answer } = await follow(route, url, (exchange) =>
      requestWhole(exchange, SIDECAR_BYTES, () => new SourceRefused('too long for a digest')),
    )
    if (!counts(modifiedMs(answer.headers))) return new Map()
    return sha256Digests(Buffer.from(answer.bytes).toString('latin1'))
  } catch (error) {
    // None there, or nothing of the kind: then it proves nothing.
    if (error instanceof SourceRefused) return new Map()
    throw error
  }
}
