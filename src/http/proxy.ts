import { isIP } from 'node:net'
import { type Dispatcher, Pool, ProxyAgent, type buildConnector } from 'undici'
import { SourceRefused, SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'

/*
 * A proxy forwards what is asked of http servers, and tunnels to https servers. undici's agent
 * does both, but tells what connects to the proxy nothing of bounds and timeouts: they are given
 * to each pool of connections here.
 */

export interface ProxyOptions {
  readonly url: URL
  /** `Proxy-Authorization`; goes to the proxy and nowhere else. */
  readonly authorization?: string
}

export interface Connecting {
  readonly connectMs: number
  /** To the proxy, with TLS or without. */
  readonly proxyTls: buildConnector.BuildOptions
  /** To the servers behind it. */
  readonly requestTls: buildConnector.BuildOptions
}

interface Connects {
  readonly connect: buildConnector.connector
}

/** @param pool bounds and timeouts for the connections of each origin */
export function proxyAgent(
  proxy: ProxyOptions,
  pool: Pool.Options,
  { connectMs, ...tls }: Connecting,
): Dispatcher {
  const { connections: _perOrigin, ...tunnel } = pool
  return new ProxyAgent({
    ...pool,
    ...tls,
    uri: proxy.url.href,
    ...(proxy.authorization !== undefined && { token: proxy.authorization }),
    connectTimeout: connectMs,
    factory: (origin, { connect, ...how }: Connects) =>
      new Pool(origin, { ...pool, ...how, connect: nameless(connect) }),
    // The pools of the origins bound the tunnels; one that is slow keeps no other origin waiting.
    clientFactory: (url, { connect }: Connects) =>
      new Tunnels(url, { ...tunnel, connect: nameless(connect) }),
  })
}

/** The name that TLS asks for is never an address (RFC 6066, section 3), as undici has it for proxies. */
function nameless(connect: buildConnector.connector): buildConnector.connector {
  return ({ servername, ...target }, callback) => {
    const isAddress = isIP((servername ?? '').replaceAll(/[[\]]/g, '')) !== 0
    connect({ ...target, ...(!isAddress && servername && { servername }) }, callback)
  }
}

/** Opens tunnels, and says what a proxy that opens none has against it. */
class Tunnels extends Pool {
  readonly #url: URL

  constructor(url: URL, options: Pool.Options) {
    super(url, options)
    this.#url = url
  }

  override async connect(options: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> {
    const where = { proxy: shown(this.#url) }
    const answer = await super.connect(options).catch((cause: Error & { code?: string }) => {
      // Most often the proxy itself waits for the server.
      if (cause.code !== 'UND_ERR_HEADERS_TIMEOUT') throw cause
      throw new SourceUnavailable('the proxy opens no connection to the server', { where, cause })
    })
    const { statusCode, socket } = answer
    if (statusCode === 200) return answer
    socket.on('error', () => {}).destroy()
    if (statusCode === 407) {
      const advice = "put 'Proxy-Authorization: ...' into the file of --header-file"
      throw new SourceRefused('the proxy wants credentials (407)', { where, advice })
    }
    if (statusCode === 403) throw new SourceRefused('the proxy forbids it (403)', { where })
    throw new SourceUnavailable(`the proxy answers ${statusCode}`, { where })
  }
}
