import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { Persistence, Patience, RetrySource } from '../../src/block/retry.ts'
import { RangesRefused, SourceChanged, SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import type { HttpOptions } from '../../src/http/options.ts'
import { Server, serversOf } from '../../src/http/server.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { LeapingClock, PLAIN_HTTP } from '../fixtures/http-options.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

const content = patterned(300_000)
const other = patterned(300_000, 7)

/** Two servers with the same file, and what the user was told. */
class Pair implements AsyncDisposable {
  readonly near: RangeServer
  readonly far: RangeServer
  readonly lines: string[] = []
  readonly clock = new LeapingClock()

  private constructor(near: RangeServer, far: RangeServer) {
    this.near = near
    this.far = far
  }

  static async open(far: Uint8Array = content): Promise<Pair> {
    return new Pair(
      await RangeServer.open({ '/image': content }),
      await RangeServer.open({ '/image': far }),
    )
  }

  async source(more: Partial<HttpOptions> = {}): Promise<Mirrors> {
    const options = {
      ...PLAIN_HTTP,
      // Nothing but a failure lets a read go to another server, unless a test wants more.
      timeouts: { connectMs: 5000, firstByteMs: 5000, stallMs: 5000 },
      mirrors: [new URL(this.far.url('/image'))],
      ...more,
    }
    const url = new URL(this.near.url('/image'))
    return (await Mirrors.open(url, options, (line) => this.lines.push(line))).source
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.near.down(), this.far.down()])
  }
}

/** Resolves once the mirror is used, or refused. */
async function settled(source: Mirrors, pair: Pair): Promise<void> {
  while (source.state.servers[1]?.state === 'outside' && pair.lines.length === 0) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function reads(t: Test, source: Mirrors, offset: number, bytes = content) {
  const target = new Uint8Array(5000)
  await source.read(target, offset)
  t.strictSame(target, bytes.subarray(offset, offset + 5000))
}

{
  const pair = await Pair.open()
  t.teardown(() => pair[Symbol.asyncDispose]())
  conforms(t, 'mirrors', content, () => pair.source())
}

t.test('a mirror with the same strong ETag takes over when the server dies', async (t) => {
  await using pair = await Pair.open()
  await using source = await pair.source()
  await settled(source, pair)
  t.match(source.state.servers, [{ state: 'good' }, { state: 'good' }])
  // One of the two is preferred, and so one of the two deaths is noticed.
  for (const dying of [pair.near, pair.far]) {
    await dying.down()
    for (let offset = 0; offset < 100_000; offset += 9000) await reads(t, source, offset)
    await dying.up()
  }
  t.match(pair.lines[0], /mirror .* is left for a while: the server (refuses|closes)/)
  t.ok(pair.lines.length <= 4, 'it is said once')
})

t.test('a read that ends with the source is no failure of a server', async (t) => {
  await using pair = await Pair.open()
  const source = await pair.source()
  await settled(source, pair)
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  for (const server of [pair.near, pair.far]) {
    server.onRequest = () => {
      resolve()
      return { kind: 'stall' }
    }
  }
  const reading = source.read(new Uint8Array(5000), 0)
  const ended = t.rejects(reading, SourceUnavailable)
  await asked
  await source[Symbol.asyncDispose]()
  await ended
  t.strictSame(pair.lines, [])
})

t.test('a server that died is left alone, tried again later, and used again', async (t) => {
  await using pair = await Pair.open()
  await using source = await pair.source({ clock: pair.clock })
  await settled(source, pair)
  pair.far.onRequest = () => ({ kind: 'status', status: 503 })
  pair.near.onRequest = () => ({ kind: 'status', status: 500 })
  await t.rejects(source.read(new Uint8Array(10), 0), SourceUnavailable)
  t.match(source.state.servers, [{ state: 'failing' }, { state: 'failing' }])
  pair.near.onRequest = () => undefined
  await pair.clock.sleep(60_000)
  await reads(t, source, 50_000)
  await reads(t, source, 60_000)
  t.match(source.state.servers[0], { state: 'good', failures: 0 })
  t.ok(pair.lines.some((line) => /mirror .* is left for a while: .*500/.test(line)))
})

t.test('a late answer gets company from the mirror, which wins', async (t) => {
  await using pair = await Pair.open()
  const timeouts = { connectMs: 60_000, firstByteMs: 60_000, stallMs: 60_000 }
  await using source = await pair.source({ timeouts })
  await settled(source, pair)
  // Whichever is asked first never answers.
  const stalls = { near: 0, far: 0 }
  const once = (name: 'near' | 'far') => (): Fault | undefined => {
    if (stalls.near + stalls.far > 0) return undefined
    stalls[name]++
    return { kind: 'stall', afterBytes: 2000 }
  }
  pair.near.onRequest = once('near')
  pair.far.onRequest = once('far')
  await reads(t, source, 200_000)
  t.equal(stalls.near + stalls.far, 1)
})

t.test('hedges are few: not every read of a slow pair is sent twice', async (t) => {
  await using pair = await Pair.open()
  await using source = await pair.source()
  await settled(source, pair)
  const slow = (): Fault => ({ kind: 'delay', delayMs: 400 })
  pair.near.onRequest = slow
  pair.far.onRequest = slow
  const before = pair.near.traffic().requests + pair.far.traffic().requests
  await Promise.all(Array.from({ length: 40 }, (_, index) => reads(t, source, index * 5000)))
  const requests = pair.near.traffic().requests + pair.far.traffic().requests - before
  t.ok(requests <= 40 + 10, `${requests} requests for 40 reads`)
})

t.test('many reads at once are shared by both servers', async (t) => {
  await using pair = await Pair.open()
  await using source = await pair.source({ connections: 1 })
  await settled(source, pair)
  const slow = (): Fault => ({ kind: 'delay', delayMs: 20 })
  pair.near.onRequest = slow
  pair.far.onRequest = slow
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 10 }, (_, index) => reads(t, source, index * 5000)))
  }
  t.ok(pair.near.traffic().requests > 3 && pair.far.traffic().requests > 3)
})

t.test('a mirror with another file is never read from', async (t) => {
  await using pair = await Pair.open(other)
  await using source = await pair.source()
  await settled(source, pair)
  t.match(pair.lines, [/mirror .* is not used: the mirror has another file/])
  await pair.near.down()
  await t.rejects(source.read(new Uint8Array(10), 0), SourceUnavailable)
  await pair.near.up()
  await reads(t, source, 0)
  t.match(source.state.servers[1], { state: 'outside', receivedBytes: 0 })
})

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const digestHeader = (bytes: Uint8Array) => `sha-256=:${sha256(bytes).toString('base64')}:`
const renamed: Fault = { kind: 'headers', headers: { ETag: '"another"' } }
/** The same head, size and date, and other bytes behind. */
const twin = content.slice()
twin.fill(1, 250_000)

t.test('servers with different ETags are mirrors if a .sha256 beside each says so', async (t) => {
  for (const [file, expected] of [
    [content, 'good'],
    [twin, 'outside'],
  ] as const) {
    await using pair = await Pair.open(file)
    pair.far.onRequest = ({ path }) => (path === '/image' ? renamed : undefined)
    pair.near.put('/image.sha256', Buffer.from(`${sha256(content).toString('hex')}  image\n`))
    pair.far.put('/image.sha256', Buffer.from(`${sha256(file).toString('hex')} *image\n`))
    await using source = await pair.source()
    await settled(source, pair)
    t.equal(source.state.servers[1]?.state, expected)
  }
})

t.test('or if Repr-Digest of both says so', async (t) => {
  for (const [file, expected] of [
    [content, 'good'],
    [twin, 'outside'],
  ] as const) {
    await using pair = await Pair.open(file)
    const headers = (digest: string, etag: string) => (): Fault => ({
      kind: 'headers',
      headers: { ETag: etag, 'Repr-Digest': digest },
    })
    pair.near.onRequest = headers(digestHeader(content), '"near"')
    pair.far.onRequest = headers(digestHeader(file), '"far"')
    await using source = await pair.source()
    await settled(source, pair)
    t.equal(source.state.servers[1]?.state, expected)
    t.equal(pair.far.log.length, 1, 'and nothing else is asked for')
  }
})

t.test('the digest is that of a copy with the same ETag while the server is away', async (t) => {
  await using pair = await Pair.open()
  pair.far.put('/image.sha256', Buffer.from(sha256(content).toString('hex')))
  await using source = await pair.source()
  await settled(source, pair)
  t.equal(await source.sha256(), undefined, 'the server itself has none')
  await using second = await pair.source()
  await settled(second, pair)
  await pair.near.down()
  t.equal(await second.sha256(), sha256(content).toString('base64'))
})

t.test('without a proof a mirror is not used, and the line says what to do', async (t) => {
  await using pair = await Pair.open()
  pair.far.onRequest = () => renamed
  await using source = await pair.source()
  await settled(source, pair)
  t.match(pair.lines, [/is not used: nothing proves .* \.sha256/])
})

t.test('the digest of a file that is replaced meanwhile proves nothing', async (t) => {
  await using pair = await Pair.open(twin)
  pair.far.onRequest = ({ path }) => (path === '/image' ? renamed : undefined)
  const line = Buffer.from(sha256(twin).toString('hex'))
  pair.far.put('/image.sha256', line)
  pair.near.put('/image.sha256', line)
  // The new version is in place when its digest is read.
  pair.near.onRequest = ({ path }) => {
    if (path === '/image.sha256') pair.near.put('/image', twin)
    return undefined
  }
  await using source = await pair.source()
  await settled(source, pair)
  t.match(source.state.servers[1], { state: 'outside', failure: /has changed/ })
})

t.test('the digest beside a stable URL counts while that leads to the version', async (t) => {
  const ours = Buffer.from(sha256(content).toString('hex'))
  const newer = Buffer.from(sha256(twin).toString('hex'))
  for (const [leads, beside, file, expected] of [
    ['/v1', { '/v1.sha256': ours }, content, 'good'],
    ['/v1', { '/image.sha256': ours }, content, 'good'],
    ['/v2', { '/v1.sha256': ours, '/image.sha256': newer }, content, 'good'],
    ['/v2', { '/image.sha256': newer }, twin, 'outside'],
    ['/nowhere', { '/image.sha256': newer }, twin, 'outside'],
  ] as const) {
    await using pair = await Pair.open(file)
    pair.far.put('/image.sha256', file === twin ? newer : ours)
    pair.far.onRequest = ({ path }) => (path === '/image' ? renamed : undefined)
    pair.near.onRequest = ({ path }) =>
      path === '/image' ? { kind: 'status', status: 302, headers: { location: leads } } : undefined
    const files = { '/v1': content, '/v2': twin, ...beside }
    for (const [path, bytes] of Object.entries(files)) pair.near.put(path, bytes)
    const destinations = new Map([[pair.near.url('/image'), new URL(pair.near.url('/v1'))]])
    await using source = await pair.source({ destinations })
    await settled(source, pair)
    t.equal(source.state.servers[1]?.state, expected, `${leads}, ${Object.keys(beside).join()}`)
    await reads(t, source, 260_000)
  }
})

t.test('a replaced file is read from the mirror that still has it', async (t) => {
  await using pair = await Pair.open()
  await using source = await pair.source()
  await settled(source, pair)
  pair.near.put('/image', other)
  for (let offset = 0; offset < 200_000; offset += 20_000) await reads(t, source, offset)
  pair.far.put('/image', other)
  await t.rejects(source.read(new Uint8Array(10), 0), SourceChanged)
  pair.far.put('/image', content)
  await reads(t, source, 123_000)
})

/** What a server has at /image and beside it, each with the second of its last change. */
class Shelf {
  version = { etag: '"1"', second: 10 }
  digest = { of: content, second: 10 }
  readonly server: RangeServer

  constructor(server: RangeServer) {
    this.server = server
    server.onRequest = ({ path }) => {
      const { etag, second } =
        path === '/image' ? this.version : { etag: undefined, ...this.digest }
      const modified = new Date(second * 1000).toUTCString()
      return { kind: 'headers', headers: { ETag: etag, 'Last-Modified': modified } }
    }
    this.putDigest(content, 10)
  }
  put(bytes: Uint8Array, etag: string, second: number): void {
    this.server.put('/image', bytes)
    this.version = { etag, second }
  }
  putDigest(of: Uint8Array, second: number): void {
    this.server.put('/image.sha256', Buffer.from(`${sha256(of).toString('hex')}  image\n`))
    this.digest = { of, second }
  }
}

/** Reads until it is right, or as many times as a place that has changed is looked at again. */
async function comesBack(source: Mirrors, pair: Pair): Promise<boolean> {
  for (let tries = 0; tries < 5; tries++) {
    await pair.clock.sleep(400_000)
    const target = new Uint8Array(5000)
    const failure: unknown = await source.read(target, 260_000).catch((error: unknown) => error)
    if (failure === undefined) {
      if (Buffer.compare(target, content.subarray(260_000, 265_000)) !== 0) throw new Error('mixed')
      return true
    }
    const requests = () => pair.far.traffic().requests
    for (let before = -1; before !== requests();) {
      before = requests()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return false
}

t.test('a .sha256 that is older than its file is about the version before it', async (t) => {
  for (const place of ['near', 'far'] as const) {
    await using pair = await Pair.open()
    const shelves = { near: new Shelf(pair.near), far: new Shelf(pair.far) }
    shelves.near.put(content, '"n1"', 10)
    shelves.far.put(content, '"f1"', 10)
    // The same size and the same head, and the digest of what was there before.
    shelves[place].put(twin, '"2"', 20)
    await using source = await pair.source({ clock: pair.clock })
    await settled(source, pair)
    t.match(source.state.servers, [{ state: 'good' }, { state: 'outside' }], `new at ${place}`)
    shelves[place].put(content, '"3"', 30)
    shelves[place].putDigest(content, 30)
    await pair.near.down()
    t.equal(await comesBack(source, pair), place === 'far', 'which was opened as something else')
  }
})

t.test('an old version that is put back under another ETag is read, if it is proven', async (t) => {
  await using pair = await Pair.open()
  const near = new Shelf(pair.near)
  const far = new Shelf(pair.far)
  near.put(content, '"n1"', 10)
  far.put(content, '"f1"', 10)
  await using source = await pair.source({ clock: pair.clock })
  await settled(source, pair)
  t.match(source.state.servers, [{ state: 'good' }, { state: 'good' }])
  await pair.near.down()
  // The same size, the same head, and for a while the digest of the old one beside it.
  far.put(twin, '"f2"', 20)
  t.notOk(await comesBack(source, pair), 'a digest that is older than the file proves nothing')
  far.putDigest(twin, 21)
  t.notOk(await comesBack(source, pair))
  far.putDigest(content, 30)
  t.notOk(await comesBack(source, pair), 'nor one that is there before the file')
  far.put(content, '"f3"', 31)
  far.putDigest(content, 31)
  const before = source.state.receivedBytes
  t.ok(await comesBack(source, pair))
  t.match(source.state.servers[1], { state: 'good', identity: '"f3"' })
  t.ok(source.state.receivedBytes > before, 'what came before counts on')
  t.ok(pair.lines.some((line) => /mirror .* is used again/.test(line)))
})

t.test('a version whose digest was not known before is not proven by a later one', async (t) => {
  await using pair = await Pair.open()
  const near = new Shelf(pair.near)
  const far = new Shelf(pair.far)
  await using source = await pair.source({ clock: pair.clock })
  await settled(source, pair)
  await pair.near.down()
  far.put(twin, '"2"', 20)
  far.putDigest(twin, 20)
  t.notOk(await comesBack(source, pair))
  const digests = pair.far.log.filter(({ path }) => path !== '/image')
  t.strictSame(digests, [], 'nor is it asked for')
  // Beside the old file, too, is the digest of the next by now.
  await pair.near.up()
  near.putDigest(twin, 20)
  await pair.clock.sleep(400_000)
  t.equal(await source.sha256(), sha256(twin).toString('base64'))
  await pair.near.down()
  t.notOk(await comesBack(source, pair))
})

t.test('without mirrors, too, if the server sends digests itself', async (t) => {
  await using pair = await Pair.open()
  const put = (bytes: Uint8Array, ETag: string) => {
    pair.near.put('/image', bytes)
    const headers = { ETag, 'Repr-Digest': digestHeader(bytes) }
    pair.near.onRequest = () => ({ kind: 'headers', headers })
  }
  put(content, '"1"')
  await using source = await pair.source({ clock: pair.clock, mirrors: [] })
  put(twin, '"2"')
  t.notOk(await comesBack(source, pair))
  put(content, '"3"')
  t.ok(await comesBack(source, pair))
})

t.test('a mirror opens the image when the server is away, and vice versa', async (t) => {
  await using pair = await Pair.open()
  await pair.near.down()
  {
    await using source = await pair.source({ clock: pair.clock })
    await reads(t, source, 10_000)
    t.match(source.state.servers, [{ state: 'outside' }, { state: 'good' }])
    await pair.near.up()
    await pair.clock.sleep(600_000)
    while (source.state.servers[0]?.state === 'outside') await reads(t, source, 20_000)
    await pair.far.down()
    await reads(t, source, 30_000)
  }
  await using source = await pair.source()
  await reads(t, source, 0)
})

t.test('the version of the URL counts, not that of a mirror that answers sooner', async (t) => {
  await using pair = await Pair.open(other)
  pair.near.faults.push({ kind: 'delay', delayMs: 200 })
  await using source = await pair.source()
  await reads(t, source, 0)
})

t.test('opening waits while one place may come, and ends when all refuse', async (t) => {
  await using pair = await Pair.open()
  pair.near.remove('/image')
  await pair.far.down()
  await t.rejects(pair.source(), SourceUnavailable)
  await pair.far.up()
  pair.far.remove('/image')
  await t.rejects(pair.source(), SourceRefused)
})

t.test('everything down for a minute: reads wait, and then they are right', async (t) => {
  await using pair = await Pair.open()
  const { clock } = pair
  await using mirrors = await pair.source({ clock })
  await settled(mirrors, pair)
  const lines: string[] = []
  const patience = new Patience(0, (line) => lines.push(line), clock)
  patience.useBegins()
  const source = new RetrySource(mirrors, patience)
  await Promise.all([pair.near.down(), pair.far.down()])
  const start = clock.now()
  clock.onLeap = async (now) => {
    if (now - start > 60_000) await pair.far.up()
  }
  const targets = Array.from({ length: 8 }, () => new Uint8Array(30_000))
  await Promise.all(targets.map((target, index) => source.read(target, index * 30_000)))
  for (const [index, target] of targets.entries()) {
    t.strictSame(target, content.subarray(index * 30_000, (index + 1) * 30_000))
  }
  t.ok(lines.filter((line) => /waiting for the source \(\d+ s, try \d+\)/.test(line)).length >= 3)
  t.match(lines.at(-1), /answers again after \d+ s/)
})

t.test('that the URL has no ranges is an answer, unless a mirror has some', async (t) => {
  await using pair = await Pair.open()
  const whole = (): Fault => ({ kind: 'ignore-range' })
  pair.near.onRequest = whole
  {
    pair.far.faults.push({ kind: 'delay', delayMs: 100 })
    await using source = await pair.source()
    await reads(t, source, 10_000)
  }
  pair.far.faults.push({ kind: 'stall' })
  // The three seconds that a mirror has are over at once.
  await t.rejects(pair.source({ clock: pair.clock }), RangesRefused)
  await pair.far.down()
  await t.rejects(pair.source(), RangesRefused)
  await pair.near.down()
  await pair.far.up()
  pair.far.onRequest = whole
  await t.rejects(pair.source(), SourceUnavailable, 'the URL is waited for, no mirror is fetched')
})

t.test('opening is repeated until a mirror answers', async (t) => {
  await using pair = await Pair.open()
  await Promise.all([pair.near.down(), pair.far.down()])
  const { clock } = pair
  clock.onLeap = async (now) => {
    if (now > 20_000) await pair.far.up()
  }
  const patience = new Patience(Infinity, () => {}, clock)
  const open = () => pair.source({ clock })
  await using source = await new Persistence(patience).run(open)
  await reads(t, source, 0)
})

for (const who of ['the URL', 'the mirror'] as const) {
  t.test(`while ${who} wants to be left alone, the other is waited for`, async (t) => {
    await using pair = await Pair.open()
    const { clock, near, far } = pair
    const [away, down] = who === 'the URL' ? [near, far] : [far, near]
    const asked: number[] = []
    away.onRequest = () => {
      asked.push(clock.now())
      return { kind: 'status', status: 429, headers: { 'Retry-After': '300' } }
    }
    await down.down()
    clock.onLeap = async (now) => {
      if (now > 2000) await down.up()
    }
    const options = { ...PLAIN_HTTP, clock, mirrors: [new URL(far.url('/image'))] }
    const url = new URL(near.url('/image'))
    const servers = serversOf(url, options)
    const opening = new Persistence(new Patience(Infinity, () => {}, clock))
    const open = () => Mirrors.open(url, options, () => {}, servers)
    await using source = (await opening.run(open)).source
    await reads(t, source, 10_000)
    t.strictSame(asked, [0])
    t.ok(clock.now() < 20_000, `opened after ${clock.now()} ms`)
    // Nor is it asked by what is opened, before it may be.
    await clock.sleep(250_000)
    await reads(t, source, 20_000)
    t.strictSame(asked, [0])
    away.onRequest = () => undefined
    await clock.sleep(200_000)
    while (source.state.servers.some(({ state }) => state === 'outside')) {
      await reads(t, source, 20_000)
    }
  })
}

t.test('when all want to be left alone the first that may be asked is, and no other', async (t) => {
  await using pair = await Pair.open()
  const { clock, near, far } = pair
  const asked: [string, number][] = []
  const away = (name: string, seconds: number) => (): Fault | undefined => {
    asked.push([name, clock.now()])
    if (asked.length > 2) return undefined
    return { kind: 'status', status: 503, headers: { 'Retry-After': `${seconds}` } }
  }
  near.onRequest = away('near', 300)
  far.onRequest = away('far', 100)
  const options = { ...PLAIN_HTTP, clock, mirrors: [new URL(far.url('/image'))] }
  const url = new URL(near.url('/image'))
  const servers = serversOf(url, options)
  const opening = new Persistence(new Patience(Infinity, () => {}, clock))
  await using source = (await opening.run(() => Mirrors.open(url, options, () => {}, servers)))
    .source
  await reads(t, source, 10_000)
  t.strictSame(new Set(asked.slice(0, 2).map(([name]) => name)), new Set(['near', 'far']))
  t.ok(asked.slice(2).every(([name, at]) => name === 'far' && at >= 100_000 && at < 150_000))
})

t.test('a server that wants to be left alone is, whatever else fails meanwhile', async (t) => {
  const clock = new LeapingClock()
  const server = new Server(new URL('http://server/'), clock)
  server.failed(new SourceUnavailable('429', { retryAfterMs: 60_000 }))
  server.failed(new SourceUnavailable('reset'))
  server.failed(new SourceRefused('404'))
  await clock.sleep(59_000)
  t.ok(server.askedToStayAway)
  t.ok(server.pauseMs > 0)
  await clock.sleep(20_000)
  t.notOk(server.askedToStayAway)
  t.equal(server.pauseMs, 0)
})

t.test('a thousand machines that a server sends away come back at different times', async (t) => {
  const returns = Array.from({ length: 1000 }, () => {
    const server = new Server(new URL('http://server/'), new LeapingClock())
    // Whatever is under way is sent away.
    for (let request = 0; request < 8; request++) {
      server.failed(new SourceUnavailable('429', { retryAfterMs: 60_000 }))
    }
    return server.pauseMs
  })
  t.ok(returns.every((ms) => ms >= 60_000 && ms <= 75_250))
  const early = returns.filter((ms) => ms < 67_500).length
  t.ok(early > 350 && early < 650, `${early} in the first half`)
})

t.test('what fails together is one failure of a server', async (t) => {
  const clock = new LeapingClock()
  const server = new Server(new URL('http://server/'), clock)
  for (let request = 0; request < 8; request++) server.failed(new SourceUnavailable('reset'))
  t.equal(server.failures, 1)
  t.ok(server.pauseMs <= 250, `${server.pauseMs} ms`)
  await clock.sleep(250)
  server.failed(new SourceUnavailable('reset'))
  t.equal(server.failures, 2)
})

t.test('nor does it keep anybody from another that fails only just now', async (t) => {
  await using pair = await Pair.open()
  const { clock } = pair
  await using source = await pair.source({ clock })
  await settled(source, pair)
  const away = { kind: 'status', status: 503, headers: { 'Retry-After': '300' } } as const
  pair.near.onRequest = () => away
  pair.far.faults.push({ kind: 'status', status: 500 })
  const patience = new Patience(0, () => {}, clock)
  patience.useBegins()
  const retry = new RetrySource(source, patience)
  const target = new Uint8Array(5000)
  await retry.read(target, 200_000)
  t.strictSame(target, content.subarray(200_000, 205_000))
  t.ok(clock.now() < 60_000, `after ${clock.now()} ms`)
})
