import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { keptDestinations } from '../src/block/disk/destinations.ts'
import { reopened } from '../src/cli/daemon.ts'
import { openAgain } from '../src/cli/open-again.ts'
import { recordOf } from '../src/cli/presence.ts'
import type { ResumeRecord } from '../src/cli/run-files.ts'
import { SourceRefused } from '../src/errors.ts'
import { type HttpOptions, openTransport, routeTo } from '../src/http/options.ts'
import type { DevicePlan } from '../src/plan.ts'
import { type Served, openForUse } from '../src/stack.ts'
import { patterned } from './fixtures/bytes.ts'
import { PLAIN_HTTP } from './fixtures/http-options.ts'
import { RangeServer, type Request } from './fixtures/range-server.ts'

/** An image is opened again while the server is away that it was opened from, and is the same one. */

const content = patterned(300_032)
const written = patterned(4096, 9)
const file = join(t.testdir(), 'overlay')
const bootId = new Uint8Array(16)
const ON_DISK = { kind: 'disk', path: file, bootId, isEmpty: async () => true } as const
const SIDECAR = '/image.sha256'

const sidecarOf = (bytes: Uint8Array) =>
  Buffer.from(`${createHash('sha256').update(bytes).digest('hex')}  image\n`)
const right = sidecarOf(content)
const wrong = sidecarOf(written)

/** Two servers that call the same version of the same file by other names. */
async function pair(t: Test, near?: Uint8Array, far = near) {
  const servers = [near, far].map(async (sidecar, index) => {
    const server = await RangeServer.open({ '/image': content })
    if (sidecar) server.put(SIDECAR, sidecar)
    const headers = { ETag: `"${index}"` }
    server.onRequest = ({ path }) => (path === '/image' ? { kind: 'headers', headers } : undefined)
    t.teardown(() => server.down())
    return server
  })
  const [one, other] = await Promise.all(servers)
  rmSync(file, { force: true })
  return { near: one!, far: other! }
}

function planOf(
  { near, far }: { near: RangeServer; far?: RangeServer },
  overlay: DevicePlan['overlay'],
): DevicePlan {
  const mirrors = far ? [new URL(far.url('/image'))] : []
  return {
    image: { kind: 'url', url: new URL(near.url('/image')) },
    format: 'raw',
    offset: 0,
    http: {
      ...PLAIN_HTTP,
      timeouts: { connectMs: 5000, firstByteMs: 5000, stallMs: 5000 },
      mirrors,
    },
    cacheBytes: 2 ** 22,
    openMs: 20_000,
    backing: [],
    allowCorrupt: false,
    overlay,
    readOnly: false,
    sectorBytes: 512,
    whenFull: 'fail',
  }
}

/** What a daemon of the device leaves. */
function left(served: Served, before?: ResumeRecord): ResumeRecord {
  return recordOf(0, { argv: [], directory: '/', served, before })
}

async function writes(plan: DevicePlan): Promise<void> {
  const served = await openForUse(plan, () => {})
  await using _source = served.source
  if (served.access === 'read-write') await served.source.write(written, 8192)
}

async function readsBoth(t: Test, { source }: Served): Promise<void> {
  await using _source = source
  const bytes = new Uint8Array(content.length)
  await source.read(bytes, 0)
  const expected = Buffer.from(content)
  expected.set(written, 8192)
  t.ok(expected.equals(bytes))
}

t.test('an overlay on a disk is that of the same file at a mirror', async (t) => {
  const servers = await pair(t, right)
  const plan = planOf(servers, ON_DISK)
  await writes(plan)
  await servers.near.down()
  await readsBoth(t, await openForUse(plan, () => {}))
  await servers.near.up()
  await servers.far.down()
  await readsBoth(t, await openForUse(plan, () => {}))
})

t.test('also if the digest was late, or came later', async (t) => {
  const servers = await pair(t, undefined, right)
  const plan = planOf(servers, ON_DISK)
  await writes(plan)
  await servers.near.down()
  await t.rejects(
    openForUse(plan, () => {}),
    SourceRefused,
  )
  await servers.near.up()
  servers.near.put(SIDECAR, right)
  const { onRequest } = servers.near
  servers.near.onRequest = (request) =>
    request.path === SIDECAR && request.number < 4
      ? { kind: 'status', status: 503 }
      : onRequest(request)
  await readsBoth(t, await openForUse(plan, () => {}))
  t.ok(servers.near.traffic(SIDECAR).requests >= 4)
  await servers.near.down()
  await readsBoth(t, await openForUse(plan, () => {}))
})

t.test('it is not that of a file with another digest', async (t) => {
  const servers = await pair(t, right, wrong)
  const plan = planOf(servers, ON_DISK)
  await writes(plan)
  await servers.near.down()
  await t.rejects(
    openForUse(plan, () => {}),
    {
      message: /belongs to another image/,
      advice: /such as at another mirror/,
    },
  )
  await servers.near.up()
  await readsBoth(t, await openForUse(plan, () => {}))
})

t.test('nor that of a file that was replaced without its digest', async (t) => {
  const servers = await pair(t, right)
  const plan = planOf(servers, ON_DISK)
  await writes(plan)
  await servers.near.down()
  servers.far.put('/image', patterned(content.length, 5))
  await t.rejects(
    openForUse(plan, () => {}),
    SourceRefused,
  )
})

t.test('a daemon takes over at a mirror what another one attached', async (t) => {
  const servers = await pair(t, right, wrong)
  const plan = planOf(servers, { kind: 'none' })
  const served = await openForUse(plan, () => {})
  await served.source[Symbol.asyncDispose]()
  await servers.near.down()
  const before = left(served)
  const waits: string[] = []
  const next = await reopened(plan, before, (line) => {
    if (!line.includes('not the one that the device was attached with')) return
    waits.push(line)
    servers.far.put(SIDECAR, right)
  })
  await using source = next.source
  t.match(waits, [/waiting .* start the server that has it/])
  const bytes = new Uint8Array(content.length)
  await source.read(bytes, 0)
  t.strictSame(bytes, content)
})

/** A server with two versions, and a stable URL that leads to one of them. */
async function republished(
  t: Test,
  leads = '/v1?signature=secret',
  overlay: DevicePlan['overlay'] = { kind: 'none' },
) {
  const server = await RangeServer.open({ '/v1': content, '/v2': patterned(content.length, 2) })
  t.teardown(() => server.down())
  const stable = { leads }
  server.onRequest = ({ path }) =>
    path === '/image'
      ? { kind: 'status', status: 302, headers: { location: stable.leads } }
      : undefined
  const plan = planOf({ near: server }, overlay)
  const served = await openForUse(plan, () => {})
  await served.source[Symbol.asyncDispose]()
  stable.leads = '/v2'
  return { server, stable, plan, before: left(served) }
}

async function readsOld(t: Test, { source }: Served, message = 'the old version'): Promise<void> {
  await using _source = source
  const bytes = new Uint8Array(content.length)
  await source.read(bytes, 0)
  t.equal(Buffer.compare(content, bytes), 0, message)
}

t.test('a daemon takes over what a stable URL led to before it led elsewhere', async (t) => {
  const { server, plan, before } = await republished(t)
  const lines: string[] = []
  const next = await reopened(plan, before, (line) => lines.push(line))
  await readsOld(t, next)
  t.strictSame(left(next, before), before, 'the daemon after it finds it, too')
  t.match(before.destinations, { [server.url('/image')]: /secret/ })
  t.notMatch(JSON.stringify([lines, next.states()]), 'secret')
})

t.test('it asks the URL itself where that version is not there any more', async (t) => {
  const { server, stable, plan, before } = await republished(t)
  server.put('/moved', content)
  const waits: string[] = []
  const comesBack = (line: string) => {
    waits.push(line)
    stable.leads = '/moved'
  }
  server.remove('/v1')
  const gone = await reopened(plan, before, comesBack)
  t.match(waits, [/not the one that the device was attached with/])
  await gone.source[Symbol.asyncDispose]()
  t.match(left(gone, before).destinations, { [server.url('/image')]: server.url('/moved') })
  server.put('/v1', patterned(content.length, 3))
  const replaced = await reopened(plan, before, () => {})
  await readsOld(t, replaced, 'also where another version has taken its place')
})

t.test('it waits for a server that is away rather than give up what lies there', async (t) => {
  const { server, stable, plan, before } = await republished(t)
  const { onRequest } = server
  let away = 3
  server.onRequest = (request) =>
    request.path === '/v1' && away-- > 0 ? { kind: 'status', status: 503 } : onRequest(request)
  stable.leads = '/nowhere'
  const next = await reopened(plan, before, () => {})
  t.ok(away < 0)
  await readsOld(t, next)
})

t.test('what is for the server of the URL goes nowhere else', async (t) => {
  const { server, plan, before } = await republished(t)
  await using other = await RangeServer.open({ '/v1': content })
  const seen = { server: 0, other: 0 }
  const counting = (name: keyof typeof seen, { onRequest }: RangeServer) => {
    return (request: Request) => {
      if (request.headers.cookie !== undefined) seen[name]++
      return onRequest(request)
    }
  }
  server.onRequest = counting('server', server)
  other.onRequest = counting('other', other)
  const credentials = new Map([[new URL(server.url('/')).origin, { cookie: 'secret' }]])
  const withCookie = { ...plan, http: { ...plan.http, credentials } }
  const stable = server.url('/image')
  const elsewhere = { ...before, destinations: { [stable]: other.url('/v1') } }
  await readsOld(t, await reopened(withCookie, elsewhere, () => {}))
  t.strictSame(seen, { server: 0, other: 0 })
  await readsOld(t, await reopened(withCookie, before, () => {}))
  t.strictSame(seen, { server: server.traffic('/v1').requests - 1, other: 0 })
})

t.test('an overlay on a disk finds its version where a stable URL led to it', async (t) => {
  rmSync(file, { force: true })
  const { server, stable, plan } = await republished(t, '/v1', ON_DISK)
  await writes({ ...plan, http: { ...plan.http, destinations: await keptDestinations(file) } })
  await readsBoth(t, await openAgain(plan, () => {}))
  const elsewhere = { message: /belongs to another image/ }
  await t.rejects(
    openForUse(plan, () => {}),
    elsewhere,
    'at the URL itself',
  )
  server.put('/v1', patterned(content.length, 3))
  await t.rejects(
    openAgain(plan, () => {}),
    elsewhere,
  )
  stable.leads = server.put('/moved', content)
  await readsBoth(t, await openAgain(plan, () => {}))
  server.put('/v1', content)
  stable.leads = '/v2'
  await readsBoth(t, await openAgain(plan, () => {}))
  const bytes = readFileSync(file)
  bytes.writeUInt8(0xff, bytes.indexOf('/moved'))
  writeFileSync(file, bytes)
  await t.rejects(
    openAgain(plan, () => {}),
    elsewhere,
    'what is damaged counts as nothing',
  )
  bytes.writeUInt32BE(0xffff_ffff, 512)
  writeFileSync(file, bytes)
  t.equal((await keptDestinations(file)).size, 0, 'nor what is longer than can be')
})

t.test('what is no file is not waited for', async (t) => {
  const pipe = join(t.testdir(), 'pipe')
  execFileSync('mkfifo', [pipe])
  t.equal((await keptDestinations(pipe)).size, 0)
})

t.test('where no redirect could have led is not asked', async (t) => {
  const url = new URL('https://server/image')
  await using transport = openTransport(PLAIN_HTTP)
  const route = (to: string, more: Partial<HttpOptions> = {}) => {
    const options = { ...PLAIN_HTTP, destinations: new Map([[url.href, new URL(to)]]), ...more }
    return routeTo(url, transport, options).before?.href
  }
  t.equal(route('https://other/v1'), 'https://other/v1')
  for (const to of ['http://server/v1', 'file:///etc/passwd', 'ftp://server/v1'])
    t.equal(route(to), undefined, to)
  t.equal(route('https://other/v1', { staysAtOrigin: true }), undefined)
  t.equal(route('https://server/v1', { staysAtOrigin: true }), 'https://server/v1')
})

t.test('an overlay keeps no secrets', async (t) => {
  rmSync(file, { force: true })
  const { plan, before } = await republished(t, undefined, ON_DISK)
  t.match(JSON.stringify(before), 'secret')
  t.notOk(readFileSync(file).includes('secret'))
  await t.rejects(
    openAgain(plan, () => {}),
    { message: /belongs to another image/ },
  )
})

t.test('nobody asks for a digest that is of no use', async (t) => {
  const servers = await pair(t, right)
  const { near, far } = servers
  await writes(planOf({ near }, ON_DISK))
  t.equal(near.traffic(SIDECAR).requests, 0, 'without mirrors')
  // The same name, so that nothing needs a proof.
  for (const server of [near, far]) server.onRequest = () => undefined
  await writes(planOf(servers, { kind: 'memory', limitBytes: 2 ** 20 }))
  t.equal(near.traffic(SIDECAR).requests, 0, 'with an overlay that is lost')
})
