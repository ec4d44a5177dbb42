import { Agent } from 'undici'
import { type BlockSource, type Extent, assertRange } from '../block/source.ts'
import { SourceRefused } from '../errors.ts'
import { shown } from '../image-name.ts'
import { type Identity, type IdentityMode, checkIdentity, pin } from './identity.ts'
import { rememberingLookup } from './lookup.ts'
import { type RangeAnswer, requestRange } from './range-request.ts'

export interface HttpOptions {
  /** Connections to one origin, and so ranges under way at once; 1 to 64. */
  readonly connections: number
  readonly identity: IdentityMode
  /** Sent to the origin of the URL and to no other, lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** PEM certificates to trust instead of the built-in ones. */
  readonly ca?: string
  /** A redirect to another origin is refused. */
  readonly staysAtOrigin?: boolean
  /** Limit of silence on a connection: while connecting, before the first byte, between bytes. */
  readonly stallMs: number
}

/** As many as browsers follow. */
const MOST_REDIRECTS = 20
/** The first request brings the head of the image along: header, L1 table and often more. */
const HEAD_BYTES = 128 * 1024

/** Ranges of one version of one file on a web server. */
export class HttpSource implements BlockSource {
  readonly #agent: Agent
  readonly #url: URL
  readonly #options: HttpOptions
  readonly #identity: Identity
  /** Where redirects led; asked first until it refuses. */
  #resolved: URL
  #requests = 1
  #receivedBytes: number

  private constructor(
    agent: Agent,
    url: URL,
    resolved: URL,
    options: HttpOptions,
    identity: Identity,
    receivedBytes: number,
  ) {
    this.#agent = agent
    this.#url = url
    this.#resolved = resolved
    this.#options = options
    this.#identity = identity
    this.#receivedBytes = receivedBytes
  }

  /**
   * Asks for the head of the file, pins its version and hands over the bytes that came.
   * Throws `SourceUnavailable` for what may pass and `SourceRefused` for what will not.
   */
  static async open(
    url: URL,
    options: HttpOptions,
  ): Promise<{ source: HttpSource; head: Uint8Array }> {
    const agent = new Agent({
      connections: options.connections,
      pipelining: 1,
      headersTimeout: options.stallMs,
      bodyTimeout: options.stallMs,
      connect: {
        timeout: options.stallMs,
        lookup: rememberingLookup(),
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      },
    })
    try {
      const head = new Uint8Array(HEAD_BYTES)
      const { answer, resolved } = await follow(agent, url, options, head, 0, () => {})
      const identity = pin(answer.headers, answer.size, options.identity, shown(url))
      const source = new HttpSource(agent, url, resolved, options, identity, answer.length)
      return { source, head: head.subarray(0, answer.length) }
    } catch (error) {
      await agent.destroy()
      throw error
    }
  }

  get size(): number {
    return this.#identity.size
  }
  get identity(): Identity {
    return this.#identity
  }
  get counters(): { readonly requests: number; readonly receivedBytes: number } {
    return { requests: this.#requests, receivedBytes: this.#receivedBytes }
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    const check = (answer: RangeAnswer) =>
      checkIdentity(this.#identity, answer.headers, answer.size, shown(this.#url))
    this.#requests++
    const start = this.#resolved
    try {
      const { resolved } = await follow(
        this.#agent,
        start,
        this.#optionsFor(start),
        target,
        offset,
        check,
      )
      this.#resolved = resolved
    } catch (error) {
      // A pre-signed target has expired, or a stable URL has moved on: resolve it anew next time.
      this.#resolved = this.#url
      throw error
    }
    this.#receivedBytes += target.length
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent.destroy()
  }

  #optionsFor(start: URL): HttpOptions {
    return start.origin === this.#url.origin ? this.#options : { ...this.#options, headers: {} }
  }
}

/** Requests a range and follows redirects; our headers go no further than the first origin. */
async function follow(
  agent: Agent,
  url: URL,
  options: HttpOptions,
  target: Uint8Array,
  offset: number,
  check: (answer: RangeAnswer) => void,
): Promise<{ answer: RangeAnswer; resolved: URL }> {
  let at = url
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const headers = at.origin === url.origin ? options.headers : {}
    const answer = await requestRange(agent, at, headers, target, offset, check)
    if (!('location' in answer)) return { answer, resolved: at }
    at = redirected(at, answer.location)
    if (options.staysAtOrigin === true && at.origin !== url.origin) {
      throw new SourceRefused('the server redirects a chained file to another server', {
        where: { url: shown(url), location: shown(at) },
      })
    }
  }
  throw new SourceRefused(`the server redirects more than ${MOST_REDIRECTS} times`, {
    where: { url: shown(url) },
  })
}

function redirected(from: URL, location: string): URL {
  const to = URL.parse(location, from)
  const where = { url: shown(from), location: to === null ? location : shown(to) }
  if (to === null || (to.protocol !== 'http:' && to.protocol !== 'https:')) {
    throw new SourceRefused('the server redirects to something that is not a web address', {
      where,
    })
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new SourceRefused('the server redirects from HTTPS to plain HTTP', { where })
  }
  return to
}
