import t from 'tap'
import { Patience, RetrySource } from '../../src/block/retry.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import type { HttpOptions } from '../../src/http/options.ts'
import { patterned } from '../fixtures/bytes.ts'
import { LeapingClock, PLAIN_HTTP } from '../fixtures/http-options.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

/** What a server does to an image in use, one thing at a time: every byte is right in the end. */

const content = patterned(600_000)
const server = await RangeServer.open({ '/image': content })
t.teardown(() => server[Symbol.asyncDispose]())

const status = (code: number, headers = {}): Fault => ({ kind: 'status', status: code, headers })
const headers = (changed: Record<string, string | undefined>): Fault => ({
  kind: 'headers',
  headers: changed,
})

const FAULTS: Readonly<Record<string, Fault>> = {
  'a reset before the headers': { kind: 'reset' },
  'a reset in the headers': { kind: 'reset', afterBytes: 0 },
  'a reset in the body': { kind: 'reset', afterBytes: 30_000 },
  'a stall before the headers': { kind: 'stall' },
  'a stall in the body': { kind: 'stall', afterBytes: 30_000 },
  '404, then back': status(404),
  '408': status(408),
  '429 with Retry-After': status(429, { 'Retry-After': '30' }),
  '500': status(500),
  '502': status(502),
  '503': status(503),
  '200 for a range': { kind: 'ignore-range' },
  'no Content-Range': headers({ 'Content-Range': undefined }),
  'another Content-Range': headers({ 'Content-Range': 'bytes 0-9/600000' }),
  'another length in Content-Range': headers({ 'Content-Range': 'bytes 0-49999/600001' }),
  'another ETag': headers({ ETag: '"another"' }),
  'no ETag': headers({ ETag: undefined }),
  'a weak ETag': headers({ ETag: 'W/"weak"' }),
  'the bytes of another version': { kind: 'content', content: patterned(600_000, 2) },
  'a truncated body': { kind: 'close', afterBytes: 30_000 },
  'a truncated body without a length': { kind: 'close', afterBytes: 30_000, isChunked: true },
  'an overlong body': { kind: 'long', extraBytes: 7 },
  'an overlong body without a length': { kind: 'shifted', extraBytes: 7, isChunked: true },
  'a compressed body': { kind: 'gzip' },
  'a redirect in a circle': status(302, { location: '/image' }),
  'a redirect to what is no web address': status(302, { location: 'file:///etc/passwd' }),
  'a body that drips': { kind: 'drip', bytes: 100, everyMs: 20 },
}
/** What is used up by one request would not be a circle. */
const LASTING = new Map([['a redirect in a circle', 30]])

async function inUse(path: string, more: Partial<HttpOptions> = {}) {
  const clock = new LeapingClock()
  const { source } = await Mirrors.open(
    new URL(server.url(path)),
    { ...PLAIN_HTTP, clock, ...more },
    () => {},
  )
  const patience = new Patience(0, () => {}, clock)
  patience.useBegins()
  return { source: new RetrySource(source, patience), clock }
}

async function isRight(source: RetrySource): Promise<boolean> {
  const PART = 50_000
  const offsets = Array.from({ length: content.length / PART }, (_, index) => index * PART)
  const parts = offsets.map(async (offset) => {
    const part = new Uint8Array(PART)
    await source.read(part, offset)
    return part
  })
  return Buffer.compare(Buffer.concat(await Promise.all(parts)), content) === 0
}

for (const [name, fault] of Object.entries(FAULTS)) {
  t.test(name, async (t) => {
    const opened = await inUse('/image')
    await using source = opened.source
    const before = server.traffic('/image').requests
    server.faults.push(...Array.from({ length: LASTING.get(name) ?? 1 }, () => fault))
    t.ok(await isRight(source))
    t.equal(server.faults.length, 0)
    if (fault.kind !== 'drip') t.ok(server.traffic('/image').requests - before > 12, 'asked again')
  })
}

t.test('connections refused for a while', async (t) => {
  const { source: opened, clock } = await inUse('/image')
  await using source = opened
  await server.down()
  clock.onLeap = async (now) => {
    if (now > 60_000) await server.up()
  }
  t.ok(await isRight(source))
  t.ok(clock.now() > 60_000)
})

t.test('a pre-signed URL that expires, again and again', async (t) => {
  let signature = 0
  let left = 0
  server.onRequest = ({ path, query }) => {
    if (path === '/stable') {
      left = 3
      return status(302, { location: `/image?signature=${++signature}` })
    }
    return query === `signature=${signature}` && left-- > 0 ? undefined : status(403)
  }
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const { source: opened } = await inUse('/stable')
  await using source = opened
  t.ok(await isRight(source))
  t.ok(signature > 3, 'asked for others')
})

t.test('a redirect to another server gets the bytes, and no credentials', async (t) => {
  await using far = await RangeServer.open({ '/image': content })
  const seen = new Set<string | undefined>()
  far.onRequest = ({ headers }) => {
    seen.add(headers.authorization)
    return undefined
  }
  server.onRequest = ({ path }) =>
    path === '/away' ? status(307, { location: far.url('/image') }) : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const credentials = new Map([[new URL(server.url('/')).origin, { authorization: 'Basic c2Vj' }]])
  const { source: opened } = await inUse('/away', { credentials })
  await using source = opened
  t.ok(await isRight(source))
  t.strictSame([...seen], [undefined])
})

t.test('a mirror with a different file, while the server itself is away', async (t) => {
  await using far = await RangeServer.open({ '/image': patterned(600_000, 7) })
  const { source: opened, clock } = await inUse('/image', {
    mirrors: [new URL(far.url('/image'))],
  })
  await using source = opened
  await server.down()
  clock.onLeap = async (now) => {
    if (now > 60_000) await server.up()
  }
  t.ok(await isRight(source))
})
