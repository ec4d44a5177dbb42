import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { SourceChanged, SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import type { HttpOptions } from '../../src/http/options.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { LeapingClock, PLAIN_HTTP } from '../fixtures/http-options.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

const content = patterned(300_000)
const server = await RangeServer.open({ '/image': content })
t.teardown(() => server[Symbol.asyncDispose]())

const open = async (more: Partial<HttpOptions> = {}, path = '/image') => {
  const options = { ...PLAIN_HTTP, ...more }
  return (await Mirrors.open(new URL(server.url(path)), options, () => {})).source
}

conforms(t, 'http', content, open)

t.test('one request opens a file and brings its head', async (t) => {
  const before = server.traffic().requests
  const { source, head } = await Mirrors.open(new URL(server.url('/image')), PLAIN_HTTP, () => {})
  await using _source = source
  t.equal(server.traffic().requests - before, 1)
  t.strictSame(head, content.subarray(0, head.length))
  t.equal(server.log.at(-1)?.method, 'GET')
})

t.test('no request asks for another coding of the file, and none is a HEAD', async (t) => {
  const codings = new Set<string | undefined>()
  server.onRequest = ({ method, headers }) => {
    codings.add(method === 'GET' ? headers['accept-encoding'] : method)
    return undefined
  }
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open()
  await source.read(new Uint8Array(10), 200_000)
  t.strictSame([...codings], [undefined])
})

const passing: readonly (readonly [string, ...Fault[]])[] = [
  ['503', { kind: 'status', status: 503 }],
  ['429', { kind: 'status', status: 429 }],
  ['408', { kind: 'status', status: 408 }],
  ['500', { kind: 'status', status: 500 }],
  ['502', { kind: 'status', status: 502 }],
  ['a stall before the headers', { kind: 'stall' }],
  ['a connection that is reset twice', { kind: 'reset' }, { kind: 'reset' }],
  ['a body that breaks off at once', { kind: 'reset', afterBytes: 0 }],
  ['a long body', { kind: 'long', extraBytes: 5 }],
  ['another range', { kind: 'headers', headers: { 'content-range': 'bytes 1-1000/300000' } }],
  ['no range in a 206', { kind: 'headers', headers: { 'content-range': undefined } }],
  ['a compressed body', { kind: 'gzip' }],
]
for (const [name, ...faults] of passing) {
  t.test(`${name} is a failure that passes, and the next read is right`, async (t) => {
    await using source = await open()
    server.faults.push(...faults)
    const target = new Uint8Array(20_000)
    await t.rejects(source.read(target, 4096), SourceUnavailable)
    await source.read(target, 4096)
    t.strictSame(target, content.subarray(4096, 24_096))
  })
}

for (const kind of ['stall', 'reset', 'close'] as const) {
  t.test(`a read goes on where its body broke off: ${kind}`, async (t) => {
    await using source = await open()
    const before = server.traffic('/image')
    server.faults.push({ kind, afterBytes: 15_000 }, { kind, afterBytes: 1000 })
    const target = new Uint8Array(20_000)
    await source.read(target, 4096)
    t.strictSame(target, content.subarray(4096, 24_096))
    const { requests, bytes } = server.traffic('/image')
    t.equal(requests - before.requests, 3)
    t.equal(bytes - before.bytes, 20_000, 'nothing was fetched twice')
  })
}

t.test('a part of a body whose length nobody said counts for nothing', async (t) => {
  await using source = await open()
  server.faults.push(
    { kind: 'shifted', extraBytes: 2000, isChunked: true, resetAfterBytes: 9000 },
    { kind: 'status', status: 503 },
  )
  const target = new Uint8Array(20_000)
  await t.rejects(source.read(target, 4096), SourceUnavailable)
  await t.rejects(source.read(target, 4096), SourceUnavailable)
  await source.read(target, 4096)
  t.strictSame(target, content.subarray(4096, 24_096))
})

t.test('a body without a length never touches what came before it was refused', async (t) => {
  await using source = await open()
  server.faults.push({ kind: 'reset', afterBytes: 15_000 })
  server.onRequest = () => ({ kind: 'shifted', extraBytes: 100_000, isChunked: true })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const target = new Uint8Array(200_000)
  await t.rejects(source.read(target, 4096), SourceUnavailable)
  t.strictSame(target.subarray(0, 15_000), content.subarray(4096, 19_096))
  t.ok(target.subarray(15_000).every((byte) => byte === 0))
})

t.test('whatever cuts each body short, all of it comes, and nothing twice', async (t) => {
  const long = patterned(1_500_000, 3)
  server.put('/long', long)
  server.onRequest = ({ path }) =>
    path === '/long' ? { kind: 'reset', afterBytes: 50_000 } : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const { source: opened, head } = await Mirrors.open(
    new URL(server.url('/long')),
    PLAIN_HTTP,
    () => {},
  )
  await using source = opened
  t.strictSame(head, long.subarray(0, head.length))
  const before = server.traffic('/long').bytes
  const target = new Uint8Array(1_200_000)
  await source.read(target, 200_000)
  t.strictSame(target, long.subarray(200_000, 1_400_000))
  t.equal(server.traffic('/long').bytes - before, target.length)
})

t.test('a server that sends next to nothing each time is left', async (t) => {
  await using source = await open()
  server.onRequest = () => ({ kind: 'reset', afterBytes: 1 })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const before = server.traffic('/image').requests
  await t.rejects(source.read(new Uint8Array(20_000), 4096), SourceUnavailable)
  t.ok(server.traffic('/image').requests - before < 20)
})

for (const kind of ['reset', 'close'] as const) {
  t.test(`a connection given up just when it is used again is no failure: ${kind}`, async (t) => {
    await using source = await open()
    const before = server.traffic('/image').requests
    server.faults.push({ kind })
    const target = new Uint8Array(1000)
    await source.read(target, 4096)
    t.strictSame(target, content.subarray(4096, 5096))
    t.equal(server.traffic('/image').requests - before, 2)
    t.equal(source.state.servers[0]?.failures, 0)
  })
}

t.test('a body that only drips is given up, and the read goes on elsewhere in it', async (t) => {
  await using source = await open()
  const before = server.traffic('/image').requests
  server.faults.push({ kind: 'drip', bytes: 100, everyMs: 20 })
  const target = new Uint8Array(200_000)
  await source.read(target, 50_000)
  t.strictSame(target, content.subarray(50_000, 250_000))
  t.equal(server.traffic('/image').requests - before, 2)
})

t.test('a server that said Retry-After is left alone for that long', async (t) => {
  const clock = new LeapingClock()
  await using source = await open({ clock })
  server.faults.push({ kind: 'status', status: 429, headers: { 'Retry-After': '40' } })
  const target = new Uint8Array(100)
  await t.rejects(source.read(target, 0), SourceUnavailable)
  const before = server.traffic().requests
  await t.rejects(source.read(target, 0), { message: /stay away/ })
  t.equal(server.traffic().requests, before, 'it was not asked')
  await clock.sleep(51_000)
  await source.read(target, 0)
  t.strictSame(target, content.subarray(0, 100))
})

t.test('those who wait for a connection are told to stay away, too', async (t) => {
  const clock = new LeapingClock()
  await using source = await open({ clock, connections: 2 })
  const before = server.traffic().requests
  server.onRequest = () => ({ kind: 'status', status: 429, headers: { 'Retry-After': '40' } })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const reads = Array.from({ length: 40 }, async (_, index) =>
    source.read(new Uint8Array(100), index * 5000),
  )
  const ends = await Promise.allSettled(reads)
  t.ok(ends.every(({ status }) => status === 'rejected'))
  t.ok(server.traffic().requests - before <= 2)
  server.onRequest = () => undefined
  await clock.sleep(60_000)
  const target = new Uint8Array(100)
  await source.read(target, 5000)
  t.strictSame(target, content.subarray(5000, 5100))
})

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
    t.equal(source.state.servers[0]?.identity, '300000 bytes')
    await source.read(new Uint8Array(10), 0)
  },
)

t.test('a weak ETag counts for nothing', async (t) => {
  server.onRequest = () => ({ kind: 'headers', headers: { etag: 'W/"x"' } })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open()
  t.match(source.state.servers[0]?.identity, /GMT$/)
})

/** A stable URL that leads to the image. */
function leadFromStable(t: Test): void {
  server.onRequest = ({ path }) =>
    path === '/stable'
      ? { kind: 'status', status: 302, headers: { location: '/image' } }
      : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
}

t.test('redirects are followed once, and again when their target fails', async (t) => {
  leadFromStable(t)
  await using source = await open({}, '/stable')
  const asked = () => server.traffic('/stable').requests
  const before = asked()
  const target = new Uint8Array(100)
  await source.read(target, 0)
  await source.read(target, 100)
  t.equal(asked(), before, 'the target is asked directly')
  // The pre-signed target has expired: the URL is asked anew, within the same read.
  server.faults.push({ kind: 'status', status: 403 })
  await source.read(target, 200)
  t.equal(asked(), before + 1)
  t.strictSame(target, content.subarray(200, 300))
})

t.test(
  'where a redirect led asks to be left alone: so is the URL of the same server',
  async (t) => {
    leadFromStable(t)
    await using source = await open({}, '/stable')
    const before = server.traffic().requests
    server.faults.push({ kind: 'status', status: 429, headers: { 'Retry-After': '60' } })
    const failure: unknown = await source.read(new Uint8Array(100), 0).then(undefined, (e) => e)
    t.equal(failure instanceof SourceUnavailable && failure.retryAfterMs, 60_000)
    t.equal(server.traffic().requests, before + 1)
  },
)

t.test(
  'a URL that asks to be left alone is, while the place that it led to is tried',
  async (t) => {
    await using far = await RangeServer.open({ '/image': content })
    let answer: Fault = { kind: 'status', status: 302, headers: { location: far.url('/image') } }
    server.onRequest = () => answer
    t.teardown(() => {
      server.onRequest = () => undefined
    })
    await using source = await open({}, '/stable')
    answer = { kind: 'status', status: 503, headers: { 'Retry-After': '120' } }
    await far.down()
    const before = server.traffic('/stable').requests
    const target = new Uint8Array(100)
    for (let turn = 0; turn < 3; turn++) await t.rejects(source.read(target, 0), SourceUnavailable)
    t.equal(server.traffic('/stable').requests, before + 1)
    await far.up()
    await source.read(target, 7)
    t.strictSame(target, content.subarray(7, 107))
  },
)

t.test('a target that expires under many reads has the URL asked once', async (t) => {
  server.put('/signed-2', content)
  let target = '/image'
  server.onRequest = ({ path }) => {
    if (path === '/stable') return { kind: 'status', status: 302, headers: { location: target } }
    return path === target ? undefined : { kind: 'status', status: 403 }
  }
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open({}, '/stable')
  const before = server.traffic('/stable').requests
  target = '/signed-2'
  const offsets = Array.from({ length: 40 }, (_, index) => index * 5000)
  const parts = await Promise.all(
    offsets.map(async (offset) => {
      const part = new Uint8Array(5000)
      await source.read(part, offset)
      return part
    }),
  )
  t.equal(Buffer.compare(Buffer.concat(parts), content.subarray(0, 200_000)), 0)
  t.equal(server.traffic('/stable').requests, before + 1)
})

t.test('a stable URL may lead to another version while the old one is still there', async (t) => {
  server.put('/v1', content)
  server.put('/v2', patterned(300_000, 2))
  let target = '/v1'
  server.onRequest = ({ path }) =>
    path === '/latest' ? { kind: 'status', status: 302, headers: { location: target } } : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open({}, '/latest')
  target = '/v2'
  const bytes = new Uint8Array(100)
  await source.read(bytes, 1000)
  t.strictSame(bytes, content.subarray(1000, 1100), 'the old one is read on')
  server.remove('/v1')
  await t.rejects(source.read(bytes, 2000), SourceChanged)
  server.put('/v1', content)
  await source.read(bytes, 2000)
  t.strictSame(bytes, content.subarray(2000, 2100), 'and is found again')
  server.remove('/v1')
  server.put('/moved', content)
  target = '/moved'
  await source.read(bytes, 3000)
  t.strictSame(bytes, content.subarray(3000, 3100), 'at another place, too')
})

t.test('a redirect may be in plain UTF-8', async (t) => {
  server.put('/%C3%BCber/image', content)
  const location = server.url('/') + 'über/image'
  const stable = createServer((socket) => {
    socket.once('data', () => socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`))
  })
  stable.listen(0, '127.0.0.1')
  await once(stable, 'listening')
  t.teardown(() => stable.close())
  const address = stable.address()
  const port = typeof address === 'object' ? address?.port : 0
  const url = new URL(`http://127.0.0.1:${port}/image`)
  const { source: opened } = await Mirrors.open(url, PLAIN_HTTP, () => {})
  await using source = opened
  await source.read(new Uint8Array(10), 0)
  t.equal(server.traffic('/%C3%BCber/image').requests, 2)
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
  await using source = await open(
    {
      credentials: new Map([
        [new URL(server.url('/')).origin, { authorization: 'Basic c2VjcmV0' }],
      ]),
    },
    '/away',
  )
  const target = new Uint8Array(10_000)
  await source.read(target, 200_000)
  t.strictSame(target, content.subarray(200_000, 210_000))
  t.strictSame(seen, ['Basic c2VjcmV0', undefined, undefined])
})

t.test('a field that comes twice is the same version each time', async (t) => {
  const date = new Date(0).toUTCString()
  const headers = { ETag: undefined, 'Last-Modified': [date, date] }
  server.put('/twice', content)
  server.onRequest = ({ path }) => (path === '/twice' ? { kind: 'headers', headers } : undefined)
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await using source = await open({}, '/twice')
  const target = new Uint8Array(100)
  await source.read(target, 200_000)
  t.strictSame(target, content.subarray(200_000, 200_100))
})
