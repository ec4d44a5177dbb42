import type { Clock } from '../block/clock.ts'
import { SourceRefused } from '../errors.ts'
import { shown } from '../image-name.ts'
import type { Exchange } from './exchange.ts'
import type { Transport } from './transport.ts'

/** Where redirects lead, by the `href` of what was asked for. May hold signatures: not to be printed. */
export type Destinations = ReadonlyMap<string, URL>

/** A URL, and how it is asked. */
export interface Route {
  readonly url: URL
  /** Where it led before, to those who want the version of then. */
  readonly before?: URL
  readonly transport: Transport
  /** For the origin of the URL, and for no other. */
  readonly headers: Readonly<Record<string, string>>
  /** A redirect to another origin is refused. */
  readonly staysAtOrigin: boolean
  /** See `Exchange`. */
  readonly dripMs: number
  /** Requests under way at once. */
  readonly connections: number
  readonly clock: Clock
}

interface Redirect {
  readonly kind: 'redirect'
  readonly location: string
}

/** As many as browsers follow. */
const MOST_REDIRECTS = 20

/**
 * Asks at `start` and follows redirects. Credentials, headers as well as certificates, go no
 * further than to the origin of the route.
 */
export async function follow<T extends { readonly kind: string }>(
  route: Route,
  start: URL,
  ask: (exchange: Exchange) => Promise<T | Redirect>,
): Promise<{ answer: T; resolved: URL }> {
  const { transport, dripMs } = route
  let at = start
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const named = at.origin === route.url.origin
    const headers = named ? route.headers : {}
    const dispatcher = transport.dispatcher(named)
    const { proxy } = transport
    const by = proxy !== undefined && { proxy }
    const answer = await ask({ dispatcher, url: at, ...by, headers, dripMs })
    if (!isRedirect(answer)) return { answer, resolved: at }
    at = redirected(at, answer.location)
    if (route.staysAtOrigin && at.origin !== route.url.origin) {
      throw new SourceRefused('the server redirects a chained file to another server', {
        where: { url: shown(route.url), location: shown(at) },
        advice: 'if you trust it, name the file with --backing URL or --data-file URL',
      })
    }
  }
  throw new SourceRefused(`the server redirects more than ${MOST_REDIRECTS} times`, {
    where: { url: shown(route.url) },
  })
}

function isRedirect(answer: { readonly kind: string }): answer is Redirect {
  return answer.kind === 'redirect'
}

/** Only what redirects of the route could have led to, whoever says that they did. */
export function mayHaveLedTo({ url, staysAtOrigin }: Omit<Route, 'before'>, to: URL): boolean {
  return isWeb(to) && !isDowngrade(url, to) && (!staysAtOrigin || to.origin === url.origin)
}

function isWeb({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:'
}

function isDowngrade(from: URL, to: URL): boolean {
  return from.protocol === 'https:' && to.protocol === 'http:'
}

function redirected(from: URL, location: string): URL {
  const to = URL.parse(location.replaceAll(/[\x80-\xff]/g, percent), from)
  const where = { url: shown(from), location: to === null ? location : shown(to) }
  if (to === null || !isWeb(to)) {
    throw new SourceRefused('the server redirects to something that is not a web address', {
      where,
    })
  }
  if (isDowngrade(from, to)) {
    throw new SourceRefused('the server redirects from HTTPS to plain HTTP', { where })
  }
  return to
}

/** Bytes of a field, which come as characters of Latin-1, are no characters: UTF-8 has several for one. */
function percent(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`
}
