import t from 'tap'
import { SourceChanged, SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { type HttpOptions, HttpSource } from '../../src/http/source.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

const content = patterned(300_000)
const options: HttpOptions = { connections: 4, identity: 'etag', headers: {}, stallMs: 300 }
const server = await RangeServer.open({ '/image': content })
t.teardown(() => server[Symbol.asyncDispose]())

const open = async (more: Partial<HttpOptions> = {}, path = '/image') => {
  const { source } = await HttpSource.open(new URL(server.url(path)), { ...options, ...more })
  return source
}

conforms(t, 'http', content, open)

t.test('one request opens a file and brings its head', async (t) => {
  const before = server.traffic().requests
  const { source, head } = await HttpSource.open(new URL(server.url('/image')), options)
  await using _source = source
  t.equal(server.traffic().requests - before, 1)
  t.strictSame(head, content.subarray(0, head.length))
  t.equal(server.log.at(-1)?.method, 'GET')
})

const passing: readonly (readonly [string, Fault])[] = [
  ['503', { kind: 'status', status: 503, headers: { 'Retry-After': '7' } }],
  ['429', { kind: 'status', status: 429 }],
  ['408', { kind: 'status', status: 408 }],
  ['a stall before the headers', { kind: 'stall' }],
  ['a stall in the body', { kind: 'stall', afterBytes: 1000 }],
  ['a reset', { kind: 'reset', afterBytes: 1000 }],
  ['a short body', { kind: 'close', afterBytes: 1000 }],
  ['a long body', { kind: 'long', extraBytes: 5 }],
  ['another range', { kind: 'headers', headers: { 'content-range': 'bytes 1-1000/300000' } }],
  ['no range in a 206', { kind: 'headers', headers: { 'content-range': undefined } }],
  ['a coded body', { kind: 'headers', headers: { 'content-encoding': 'gzip' } }],
]
for (const [name, fault] of passing) {
  t.test(`${name} is a failure that passes, and the next read is right`, async (t) => {
    await using source = await open()
    server.faults.push(fault)
    const target = new Uint8Array(20_000)
    await t.rejects(source.read(target, 4096), SourceUnavailable)
    await source.read(target, 4096)
    t.strictSame(target, content.subarray(4096, 24_096))
  })
}

t.test('Retry-After is handed on', async (t) => {
  server.faults.push({ kind: 'status', status: 503, headers: { 'Retry-After': '7' } })
  const error: unknown = await open().catch((failure: unknown) => failure)
  t.ok(error instanceof SourceUnavailable)
  t.equal(error instanceof SourceUnavailable && error.retryAfterMs, 7000)
})

for (const status of [400, 401, 403, 404, 410, 416]) {
  t.test(`${status} at open is refused at once`, async (t) => {
    server.faults.push({ kind: 'status', status })
    await t.rejects(open(), SourceRefused)
  })
}

t.test('a server without ranges is refused, and says what to do', async (t) => {
  server.faults.push({ kind: 'ignore-range' })
  await t.rejects(open(), { message: /does not serve ranges/, advice: /nginx/ })
})

t.test('an empty file is refused', async (t) => {
  server.put('/empty', new Uint8Array(0))
  await t.rejects(open({}, '/empty'), SourceRefused)
})

t.test('nobody listening is a failure that passes', async (t) => {
  await server.down()
  await t.rejects(open(), SourceUnavailable)
  await server.up()
})

t.test('a replaced file is never mixed in', async (t) => {
  server.put('/replaced', content)
  await using source = await open({}, '/replaced')
  server.put('/replaced', patterned(300_000, 9))
  const target = new Uint8Array(1000)
  await t.rejects(source.read(target, 5000), SourceChanged)
  server.put('/replaced', content.subarray(0, 2000))
  await t.rejects(source.read(target, 5000), SourceRefused)
  server.put('/replaced', content)
  await source.read(target, 5000)
  t.strictSame(target, content.subarray(5000, 6000), 'the pinned version is back')
})

t.test(
  'without validators a file is refused, unless its length is enough for the user',
  async (t) => {
    const bare: Fault = {
      kind: 'headers',
      headers: { etag: undefined, 'last-modified': undefined },
    }
    server.onRequest = () => bare
    t.teardown(() => {
      server.onRequest = () => undefined
    })
    await t.rejects(open(), { message: /neither a strong ETag nor Last-Modified/ })
    await using source = await open({ identity: 'length' })
    t.equal(source.identity.validator.kind, 'length')
    await source.read(new Uint8Array(10), 0)
  },
)

t.test('a weak ETag counts for nothing', async (t) => {
  server.onRequest = () => ({ kind: 'headers', headers: { etag: 'W/"x"' } })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open()
  t.equal(source.identity.validator.kind, 'last-modified')
})

t.test('redirects are followed once, and again when their target fails', async (t) => {
  server.onRequest = ({ path }) =>
    path === '/stable'
      ? { kind: 'status', status: 302, headers: { location: '/image' } }
      : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open({}, '/stable')
  const asked = () => server.traffic('/stable').requests
  const before = asked()
  const target = new Uint8Array(100)
  await source.read(target, 0)
  await source.read(target, 100)
  t.equal(asked(), before, 'the target is asked directly')
  server.faults.push({ kind: 'status', status: 403 })
  await t.rejects(source.read(target, 200), SourceRefused)
  await source.read(target, 200)
  t.equal(asked(), before + 1)
  t.strictSame(target, content.subarray(200, 300))
})

t.test('a redirect in a circle, or to what is no web address, is refused', async (t) => {
  for (const location of ['/loop', 'file:///etc/passwd']) {
    server.onRequest = () => ({ kind: 'status', status: 302, headers: { location } })
    await t.rejects(open({}, '/loop'), SourceRefused)
  }
  server.onRequest = () => undefined
})

t.test('headers of the user go to his server and not to where it redirects', async (t) => {
  await using other = await RangeServer.open({ '/image': content })
  const seen: (string | undefined)[] = []
  other.onRequest = ({ headers }) => {
    seen.push(headers['authorization'])
    return undefined
  }
  server.onRequest = ({ path, headers }) => {
    if (path !== '/away') return undefined
    seen.push(headers['authorization'])
    return { kind: 'status', status: 307, headers: { location: other.url('/image') } }
  }
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open({ headers: { authorization: 'Basic c2VjcmV0' } }, '/away')
  await source.read(new Uint8Array(10), 0)
  t.strictSame(seen, ['Basic c2VjcmV0', undefined, undefined])
})
