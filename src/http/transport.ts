import { type SecureContext, createSecureContext } from 'node:tls'
import { Agent, type Dispatcher, buildConnector } from 'undici'
import { shown } from '../image-name.ts'
import { type ProxyOptions, proxyAgent } from './proxy.ts'
import type { Lookup } from './resolver.ts'

/** Silence that is taken for a failure, in milliseconds. */
export interface Timeouts {
  /** Until a connection stands, with its TLS. */
  readonly connectMs: number
  /** From a request to the first byte of its answer. */
  readonly firstByteMs: number
  /** Between two parts of a body, or for a part worth the name. */
  readonly stallMs: number
}

export interface TlsOptions {
  /** PEM certificates to trust in place of those that Node brings along. */
  readonly ca?: string
  /** Shown to the servers that the user named, and neither to a proxy nor to whom they redirect to. */
  readonly client?: { readonly certificate: string; readonly key: string }
  /** Takes any certificate unless this says so. */
  readonly verifies: boolean
}

export interface TransportOptions {
  /** Connections to one origin, and so ranges under way at once; 1 to 64. */
  readonly connections: number
  readonly timeouts: Timeouts
  readonly tls: TlsOptions
  readonly proxy?: ProxyOptions
  readonly lookup: Lookup
}

/** Longer than the pauses of a machine that works, shorter than what NAT and servers forget after. */
const KEEP_ALIVE_MS = 30_000
/** One address of a name gets this long before the next is tried, too. */
const NEXT_ADDRESS_MS = 1000

/** Connections: HTTP/1.1 with keep-alive, TLS, and a proxy if there is one. */
export class Transport implements AsyncDisposable {
  /** As it may be printed. */
  readonly proxy: string | undefined
  readonly #named: Dispatcher
  readonly #others: Dispatcher

  constructor(options: TransportOptions) {
    this.proxy = options.proxy && shown(options.proxy.url)
    this.#named = dispatcherOf(options)
    this.#others =
      options.tls.client === undefined
        ? this.#named
        : dispatcherOf({ ...options, tls: anonymous(options.tls) })
  }

  /** @param named whether the server is one that the user named */
  dispatcher(named: boolean): Dispatcher {
    return named ? this.#named : this.#others
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#named.destroy(), this.#others.destroy()])
  }
}

function dispatcherOf(options: TransportOptions): Dispatcher {
  const { connections, timeouts, tls, proxy, lookup } = options
  const pool = {
    connections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: timeouts.firstByteMs,
    bodyTimeout: timeouts.stallMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A server may promise more, but does not answer for what is between.
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  }
  const tcp = {
    allowH2: false,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
  }
  const over = (shown: TlsOptions) => ({
    ...tcp,
    secureContext: contextOf(shown),
    rejectUnauthorized: shown.verifies,
  })
  const { connectMs } = timeouts
  if (proxy === undefined) {
    return new Agent({ ...pool, connect: lazyConnector(tcp, () => over(tls), connectMs) })
  }
  const proxyTls = proxy.url.protocol === 'https:' ? over(anonymous(tls)) : tcp
  return proxyAgent(proxy, pool, { connectMs, proxyTls, requestTls: over(tls) })
}

/** Reading a bundle of certificates takes a while, and most images come over plain HTTP. */
function lazyConnector(
  tcp: object,
  secure: () => object,
  timeout: number,
): buildConnector.connector {
  const plain = buildConnector({ ...tcp, timeout })
  let overTls: buildConnector.connector | undefined
  return (target, callback) => {
    if (target.protocol !== 'https:') return plain(target, callback)
    overTls ??= buildConnector({ ...secure(), timeout })
    return overTls(target, callback)
  }
}

function anonymous({ client: _client, ...tls }: TlsOptions): TlsOptions {
  return tls
}

function contextOf({ ca, client }: TlsOptions): SecureContext {
  return createSecureContext({
    ...(ca !== undefined && { ca }),
    ...(client !== undefined && { cert: client.certificate, key: client.key }),
  })
}
