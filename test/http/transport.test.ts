import t, { type Test } from 'tap'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import type { HttpOptions } from '../../src/http/options.ts'
import { patterned } from '../fixtures/bytes.ts'
import { Authority } from '../fixtures/authority.ts'
import { PLAIN_HTTP } from '../fixtures/http-options.ts'
import { Proxy } from '../fixtures/proxy.ts'
import { RangeServer } from '../fixtures/range-server.ts'

/** Connections: TLS, credentials, proxies. */

const content = patterned(300_000)
const authority = await Authority.open()
const other = await Authority.open()
const local = await authority.issue('DNS:localhost', 'IP:127.0.0.1')
const client = await authority.issue('DNS:client')
const trusting = { verifies: true, ca: authority.cert }
const showing = { ...trusting, client: { certificate: client.cert, key: client.key } }
const plain = await RangeServer.open({ '/image': content })
const secure = await RangeServer.open({ '/image': content }, local)
t.teardown(async () => {
  for (const one of [authority, other, plain, secure]) await one[Symbol.asyncDispose]()
})

async function open(url: string, more: Partial<HttpOptions> = {}): Promise<Mirrors> {
  return (await Mirrors.open(new URL(url), { ...PLAIN_HTTP, ...more }, () => {})).source
}

async function reads(t: Test, source: Mirrors): Promise<void> {
  const target = new Uint8Array(5000)
  await source.read(target, 200_000)
  t.strictSame(target, content.subarray(200_000, 205_000))
}

t.test('https with an authority that the user names, by name and by address', async (t) => {
  for (const host of ['localhost', '127.0.0.1']) {
    await using source = await open(secure.url('/image', host), { tls: trusting })
    await reads(t, source)
  }
})

t.test('a certificate that is not trusted is refused at once, and says what to do', async (t) => {
  for (const tls of [{ verifies: true }, { verifies: true, ca: other.cert }]) {
    const error: unknown = await open(secure.url('/image'), { tls }).catch((why: unknown) => why)
    t.ok(error instanceof SourceRefused)
    t.match(error, { message: /not trusted/, advice: /--ca/ })
  }
  await using source = await open(secure.url('/image'), { tls: { verifies: false } })
  await reads(t, source)
})

t.test('a certificate for another name is refused', async (t) => {
  const elsewhere = await authority.issue('DNS:elsewhere.test')
  await using server = await RangeServer.open({ '/image': content }, elsewhere)
  const opening = open(server.url('/image'), { tls: trusting })
  await t.rejects(opening, { name: 'SourceRefused', message: /for another server/ })
})

t.test('a plain server behind an https URL is refused', async (t) => {
  const url = plain.url('/image').replace('http:', 'https:')
  await t.rejects(open(url), { name: 'SourceRefused', message: /does not speak TLS/ })
})

t.test('a server may insist on the certificate of the client', async (t) => {
  const wants = { ...local, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
  await using server = await RangeServer.open({ '/image': content }, wants)
  await using source = await open(server.url('/image'), { tls: showing })
  await reads(t, source)
  // This server only closes the connection; nginx.test.ts has one that says why.
  await t.rejects(open(server.url('/image'), { tls: trusting }), SourceUnavailable)
})

t.test('the certificate of the client is not shown to whom a server redirects to', async (t) => {
  const wants = { ...local, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
  await using target = await RangeServer.open({ '/image': content }, wants)
  secure.onRequest = ({ path }) =>
    path === '/away'
      ? { kind: 'status', status: 302, headers: { location: target.url('/image') } }
      : undefined
  await t.rejects(open(secure.url('/away'), { tls: showing }), SourceUnavailable)
  secure.onRequest = () => undefined
})

t.test(
  'headers go to the origins that they are for: the server, and mirrors by their own',
  async (t) => {
    await using far = await RangeServer.open({ '/image': content })
    const seen: Record<string, Set<unknown>> = { near: new Set(), far: new Set() }
    plain.onRequest = ({ headers }) => void seen['near']!.add(headers['authorization'])
    far.onRequest = ({ headers }) => void seen['far']!.add(headers['authorization'])
    const near = new URL(plain.url('/image')).origin
    const credentials = new Map([[near, { authorization: 'Bearer near' }]])
    const mirrors = [new URL(far.url('/image'))]
    {
      await using source = await open(plain.url('/image'), { credentials, mirrors })
      await reads(t, source)
    }
    credentials.set(new URL(far.url('/image')).origin, { authorization: 'Bearer far' })
    await using source = await open(plain.url('/image'), { credentials, mirrors })
    await reads(t, source)
    plain.onRequest = () => undefined
    t.strictSame([...seen['near']!], ['Bearer near'])
    t.strictSame([...seen['far']!], [undefined, 'Bearer far'])
  },
)

t.test('a proxy forwards http and tunnels https', async (t) => {
  await using proxy = await Proxy.open()
  const options = { proxy: { url: proxy.url }, tls: trusting }
  await using http = await open(plain.url('/image'), options)
  await reads(t, http)
  t.match(proxy.asked, [`GET ${plain.url('/image')}`, `GET ${plain.url('/image')}`])
  await using https = await open(secure.url('/image'), options)
  await reads(t, https)
  t.match(proxy.asked.at(-1), `CONNECT 127.0.0.1:${secure.port}`)
})

t.test('a proxy that is away is named, which the URL is not to blame for', async (t) => {
  const proxy = await Proxy.open()
  const { url } = proxy
  await proxy[Symbol.asyncDispose]()
  const options = { proxy: { url }, tls: trusting }
  for (const server of [plain, secure]) {
    const refused = open(server.url('/image'), options)
    const places = { url: server.url('/image'), proxy: url.href }
    await t.rejects(refused, { name: 'SourceUnavailable', where: places })
  }
})

t.test('credentials for the proxy go to it and no further; without them it refuses', async (t) => {
  await using proxy = await Proxy.open()
  proxy.authorization = 'Basic cHJveHk6c2VjcmV0'
  const seen: unknown[] = []
  plain.onRequest = ({ headers }) => void seen.push(headers['proxy-authorization'])
  const { authorization } = proxy
  const options = { proxy: { url: proxy.url, authorization }, tls: trusting }
  for (const server of [plain, secure]) {
    await using source = await open(server.url('/image'), options)
    await reads(t, source)
    const without = open(server.url('/image'), { ...options, proxy: { url: proxy.url } })
    await t.rejects(without, { name: 'SourceRefused', message: /407/, advice: /--header-file/ })
  }
  plain.onRequest = () => undefined
  t.strictSame(new Set(seen), new Set([undefined]))
})

t.test('a proxy with TLS, by name and by address, sees no certificate of the client', async (t) => {
  const asks = { ca: authority.cert, requestCert: true, rejectUnauthorized: false }
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] }
  await using proxy = await Proxy.open({ ...local, ...asks, ...protocols })
  await using insists = await RangeServer.open(
    { '/image': content },
    { ...local, ...asks, rejectUnauthorized: true },
  )
  for (const host of ['localhost', '127.0.0.1']) {
    for (const server of [plain, insists]) {
      const options = { proxy: { url: proxy.at(host) }, tls: showing }
      await using source = await open(server.url('/image'), options)
      await reads(t, source)
    }
  }
  t.ok(proxy.peers.length >= 4)
  for (const peer of proxy.peers) t.strictSame(peer, { names: undefined, protocol: 'http/1.1' })
})

t.test('credentials go to a proxy with TLS and no further', async (t) => {
  await using proxy = await Proxy.open(local)
  const authorization = 'Basic cHJveHk6c2VjcmV0'
  proxy.authorization = authorization
  for (const server of [plain, secure]) {
    const seen: unknown[] = []
    server.onRequest = ({ headers }) => void seen.push(headers['proxy-authorization'])
    const options = { proxy: { url: proxy.url, authorization }, tls: trusting }
    await using source = await open(server.url('/image'), options)
    await reads(t, source)
    server.onRequest = () => undefined
    t.strictSame(new Set(seen), new Set([undefined]))
    const without = open(server.url('/image'), { ...options, proxy: { url: proxy.url } })
    await t.rejects(without, { name: 'SourceRefused', message: /proxy wants credentials/ })
  }
})

t.test('a proxy whose certificate is for another, or not trusted, is refused', async (t) => {
  const elsewhere = await authority.issue('DNS:elsewhere.test', 'IP:127.0.0.2')
  await using proxy = await Proxy.open(elsewhere)
  for (const server of [plain, secure]) {
    for (const host of ['localhost', '127.0.0.1']) {
      const options = { proxy: { url: proxy.at(host) } }
      const wrong = open(server.url('/image'), { ...options, tls: trusting })
      await t.rejects(wrong, { name: 'SourceRefused', message: /for another proxy/ })
      const strange = open(server.url('/image'), options)
      await t.rejects(strange, { name: 'SourceRefused', message: /not trusted/ })
    }
  }
  t.strictSame(proxy.asked, [])
})

t.test('a request that cannot be sent is refused, and not for want of credentials', async (t) => {
  const { origin } = new URL(plain.url('/image'))
  const credentials = new Map([[origin, { cookie: 'a\nb' }]])
  const opening = open(plain.url('/image'), { credentials })
  await t.rejects(opening, { name: 'SourceRefused', message: /cannot be sent: .*cookie/ })
})

t.test('a proxy that is away is waited for', async (t) => {
  const proxy = await Proxy.open()
  const { url } = proxy
  await proxy[Symbol.asyncDispose]()
  for (const server of [plain, secure]) {
    await t.rejects(open(server.url('/image'), { proxy: { url } }), SourceUnavailable)
  }
})

t.test('a proxy that says nothing is given up, for http and for https', async (t) => {
  await using proxy = await Proxy.open()
  proxy.isSilent = true
  for (const server of [plain, secure]) {
    await t.rejects(open(server.url('/image'), { proxy: { url: proxy.url } }), SourceUnavailable)
  }
  t.match(proxy.asked, [`GET ${plain.url('/image')}`, `CONNECT 127.0.0.1:${secure.port}`])
})

t.test('a body that stalls behind a proxy is given up', async (t) => {
  await using proxy = await Proxy.open()
  for (const server of [plain, secure]) {
    const options = { proxy: { url: proxy.url }, tls: trusting }
    await using source = await open(server.url('/image'), options)
    const { requests } = server.traffic()
    server.faults.push({ kind: 'stall', afterBytes: 1000 })
    await reads(t, source)
    t.equal(server.traffic().requests, requests + 2, 'the rest is asked for anew')
  }
})

t.test('a proxy gets no more connections than a server would', async (t) => {
  for (const server of [plain, secure]) {
    await using proxy = await Proxy.open()
    const options = { proxy: { url: proxy.url }, tls: trusting, connections: 3 }
    await using source = await open(server.url('/image'), options)
    // The first connection is there; the others are not opened one after the other.
    if (server === secure) proxy.tunnelsAtOnce = 2
    const targets = Array.from({ length: 20 }, () => new Uint8Array(100))
    await Promise.all(targets.map((target, index) => source.read(target, index * 10_000)))
    for (const [index, target] of targets.entries()) {
      t.strictSame(target, content.subarray(index * 10_000, index * 10_000 + 100))
    }
    t.equal(proxy.connections, 3)
  }
})

t.test(
  'no connection is kept for longer than NAT remembers, whatever the server says',
  async (t) => {
    plain.onRequest = () => ({ kind: 'headers', headers: { 'Keep-Alive': 'timeout=300' } })
    t.teardown(() => {
      plain.onRequest = () => undefined
    })
    const timers = t.capture(globalThis, 'setTimeout', globalThis.setTimeout)
    await using source = await open(plain.url('/image'))
    await reads(t, source)
    // It is put away once it is through with its answer.
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve))
    const pauses = timers().map(({ args }) => args[1] ?? 0)
    t.equal(Math.max(...pauses), 30_000)
  },
)

t.test('literal IPv6 addresses', async (t) => {
  const { createServer } = await import('node:http')
  const { once } = await import('node:events')
  const server = createServer((message, response) => {
    const [, first, last] = /(\d+)-(\d+)/.exec(message.headers.range ?? '')!.map(Number)
    const end = Math.min(last! + 1, content.length)
    response.writeHead(206, {
      etag: '"six"',
      'content-length': end - first!,
      'content-range': `bytes ${first}-${end - 1}/${content.length}`,
    })
    response.end(content.subarray(first, end))
  }).listen(0, '::1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  await using source = await open(`http://[::1]:${address.port}/image`)
  await reads(t, source)
  server.closeAllConnections()
})
