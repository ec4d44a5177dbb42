import { type Clock, systemClock } from '../block/clock.ts'
import type { IdentityMode } from './identity.ts'
import type { ProxyOptions } from './proxy.ts'
import { type Destinations, type Route, mayHaveLedTo } from './redirects.ts'
import { NameResolver } from './resolver.ts'
import { type Timeouts, type TlsOptions, Transport } from './transport.ts'

export interface HttpOptions {
  /** Connections to one origin, and so ranges under way at once; 1 to 64. */
  readonly connections: number
  readonly identity: IdentityMode
  /** Other places of the same file. */
  readonly mirrors: readonly URL[]
  /** Headers with lower-case names, by the origin that they are for; no other sees them. */
  readonly credentials: ReadonlyMap<string, Readonly<Record<string, string>>>
  readonly tls: TlsOptions
  readonly proxy?: ProxyOptions
  readonly timeouts: Timeouts
  /** A redirect to another origin is refused. */
  readonly staysAtOrigin: boolean
  /** Of the version that is wanted: what had it before is asked first, and is judged as ever. */
  readonly destinations: Destinations
  /** How `/run` is reached, where the name servers of this machine's leases are looked for. */
  readonly runDirectory: string
  readonly clock?: Clock
}

export function openTransport(options: HttpOptions): Transport {
  const names = new NameResolver({ etc: '/etc', run: options.runDirectory })
  return new Transport({ ...options, lookup: names.lookup })
}

export function routeTo(url: URL, transport: Transport, options: HttpOptions): Route {
  const { connections, credentials, staysAtOrigin, timeouts, clock = systemClock } = options
  const route = {
    url,
    transport,
    headers: credentials.get(url.origin) ?? {},
    staysAtOrigin,
    dripMs: timeouts.stallMs,
    connections,
    clock,
  }
  const before = options.destinations.get(url.href)
  return before && mayHaveLedTo(route, before) ? { ...route, before } : route
}
