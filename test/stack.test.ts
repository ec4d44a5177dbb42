import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { chained } from '../src/chain.ts'
import { ImageInvalid, ImageUnsupported, SourceChanged, SourceRefused } from '../src/errors.ts'
import type { ImageName } from '../src/image-name.ts'
import type { ImagePlan, Permission } from '../src/plan.ts'
import { openForReading, openForUse } from '../src/stack.ts'
import { patterned } from './fixtures/bytes.ts'
import { PLAIN_HTTP } from './fixtures/http-options.ts'
import { RangeServer } from './fixtures/range-server.ts'

/** Which other files an image may lead to. */

const directory = t.testdir()
const MEBIBYTE = 2 ** 20
const at = (...names: string[]) => join(directory, ...names)

/** An empty overlay over whatever it is told, in a file of that name. */
function overlay(path: string, backing: string, format: string): string {
  const place = ['-u', '-b', backing, '-F', format]
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...place, path, `${MEBIBYTE}`])
  return path
}

mkdirSync(at('pool'))
writeFileSync(at('pool', 'base.raw'), patterned(MEBIBYTE))
writeFileSync(at('secret.raw'), patterned(MEBIBYTE, 5))
symlinkSync(at('secret.raw'), at('pool', 'link.raw'))
overlay(at('pool', 'top.qcow2'), 'middle.qcow2', 'qcow2')
overlay(at('pool', 'middle.qcow2'), 'base.raw', 'raw')
overlay(at('pool', 'circle.qcow2'), 'circle.qcow2', 'qcow2')

const served = (name: string) => readFileSync(at('pool', name))
const server = await RangeServer.open({
  '/top.qcow2': served('top.qcow2'),
  '/middle.qcow2': served('middle.qcow2'),
  '/circle.qcow2': served('circle.qcow2'),
  '/base.raw': served('base.raw'),
})
t.teardown(() => server[Symbol.asyncDispose]())

const SAME: Permission = { kind: 'same-origin' }
const file = (path: string): ImageName => ({ kind: 'file', path })
const remote = (path: string): ImageName => ({ kind: 'url', url: new URL(server.url(path)) })

function planOf(image: ImageName, backing: readonly Permission[]): ImagePlan {
  return {
    image,
    format: 'qcow2',
    offset: 0,
    http: {
      ...PLAIN_HTTP,
      credentials: new Map([[new URL(server.url('/')).origin, { 'x-key': 'secret' }]]),
      timeouts: { connectMs: 2000, firstByteMs: 2000, stallMs: 2000 },
    },
    cacheBytes: 4 * MEBIBYTE,
    openMs: 0,
    backing,
    allowCorrupt: false,
  }
}

async function bytesOf(image: ImageName, backing: readonly Permission[]): Promise<Uint8Array> {
  await using source = await openForReading(planOf(image, backing), () => {})
  const bytes = new Uint8Array(source.size)
  await source.read(bytes, 0)
  return bytes
}

for (const [place, name] of [
  ['a folder', file],
  ['a server', remote],
] as const) {
  const image = (image: string) => name(place === 'a folder' ? at('pool', image) : `/${image}`)
  t.test(`a chain in ${place} is followed with same-origin, and only then`, async (t) => {
    t.ok(Buffer.compare(await bytesOf(image('top.qcow2'), [SAME]), patterned(MEBIBYTE)) === 0)
    await t.rejects(bytesOf(image('top.qcow2'), []), { message: /needs its backing file/ })
  })
  t.test(`a chain in ${place} is opened level by level as the user says`, async (t) => {
    const levels = [image('middle.qcow2'), image('base.raw')].map((image): Permission => ({
      kind: 'image',
      image,
    }))
    t.ok(Buffer.compare(await bytesOf(image('top.qcow2'), levels), patterned(MEBIBYTE)) === 0)
    await t.rejects(bytesOf(image('top.qcow2'), levels.slice(0, 1)), ImageUnsupported)
  })
  t.test(`a circle in ${place} is found`, async (t) => {
    await t.rejects(bytesOf(image('circle.qcow2'), [SAME]), ImageInvalid)
  })
}

const ESCAPES = [
  ['../secret.raw', 'raw'],
  ['link.raw', 'raw'],
  [at('secret.raw'), 'raw'],
  ['file:secret.raw', 'raw'],
  ['json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}', 'raw'],
  ['nbd://127.0.0.1/', 'raw'],
] as const
for (const [name, format] of ESCAPES) {
  t.test(`a local image that names ${name} opens nothing`, async (t) => {
    overlay(at('pool', 'hostile.qcow2'), name, format)
    await t.rejects(bytesOf(file(at('pool', 'hostile.qcow2')), [SAME]), {
      message: /not a file beside it/,
    })
  })
}

t.test('a remote image opens nothing local and nothing of another server', async (t) => {
  await using other = await RangeServer.open({ '/base.raw': patterned(MEBIBYTE) })
  for (const name of [
    other.url('/base.raw'),
    `//127.0.0.1:${other.port}/base.raw`,
    `http://user:pass@127.0.0.1:${server.port}/base.raw`,
    'file:///etc/passwd',
    'json:{"driver":"null-co"}',
  ]) {
    overlay(at('hostile.qcow2'), name, 'raw')
    server.put('/hostile.qcow2', readFileSync(at('hostile.qcow2')))
    await t.rejects(bytesOf(remote('/hostile.qcow2'), [SAME]), { message: /not a file beside it/ })
  }
  t.equal(other.traffic().requests, 0)
})

/** Two versions of a disk in images of the same form. */
const [before, after] = [1, 2].map((seed) => {
  const raw = at('version.raw')
  writeFileSync(raw, patterned(MEBIBYTE, seed))
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, at('version.qcow2')])
  return readFileSync(at('version.qcow2'))
}) as [Buffer, Buffer]

/** The next version is there from the second request on, which is for the L1 table. */
function replacing(path: string, next: (number: number) => Buffer | undefined): void {
  server.put(path, before)
  server.onRequest = (request) => {
    const version = request.path === path ? next(request.number) : undefined
    if (version) server.put(path, version)
    return undefined
  }
  t.teardown(() => {
    server.onRequest = () => undefined
  })
}

t.test('an image that is replaced while it is opened is opened in its new version', async (t) => {
  replacing('/moving.qcow2', (number) => (number === 2 ? after : undefined))
  const bytes = await bytesOf(remote('/moving.qcow2'), [])
  t.equal(Buffer.compare(bytes, patterned(MEBIBYTE, 2)), 0)
})

t.test('an image that is another one each time is given up', async (t) => {
  replacing('/restless.qcow2', (number) => (number % 2 === 0 ? before : after))
  await t.rejects(bytesOf(remote('/restless.qcow2'), []), SourceChanged)
})

t.test('a chain with a data file keeps within the cache', async (t) => {
  const create = ['create', '-q', '-f', 'qcow2', '-o', 'data_file=data.raw,size=1M']
  execFileSync('qemu-img', [...create, 'split.qcow2'], { cwd: at() })
  overlay(at('over.qcow2'), 'split.qcow2', 'qcow2')
  for (const name of ['over.qcow2', 'split.qcow2', 'data.raw'])
    server.put(`/${name}`, readFileSync(at(name)))
  server.put('/moved.qcow2', after)
  const disk = {
    overlay: { kind: 'none' },
    readOnly: true,
    sectorBytes: 512,
    whenFull: 'fail',
  } as const
  const limits: number[] = []
  for (const plan of [planOf(remote('/moved.qcow2'), []), planOf(remote('/over.qcow2'), [SAME])]) {
    const served = await openForUse({ ...plan, ...disk }, () => {})
    await using _source = served.source
    limits.push(served.cache().limitBytes)
  }
  const [alone = NaN, together = NaN] = limits
  t.ok(together <= alone, `${together} of ${alone}`)
  t.ok(together > alone / 2)
})

t.test(
  'a URL without ranges is fetched whole while its mirror is down, and it is said',
  async (t) => {
    await using plain = await RangeServer.open({ '/base.raw': patterned(MEBIBYTE) })
    plain.onRequest = () => ({ kind: 'ignore-range' })
    const mirror = await RangeServer.open()
    await mirror.down()
    const url = new URL(plain.url('/base.raw'))
    const plan = planOf({ kind: 'url', url }, [])
    const http = { ...plan.http, mirrors: [new URL(mirror.url('/base.raw'))] }
    const lines: string[] = []
    const report = (line: string) => lines.push(line)
    const unlimited = { ...plan, http, format: 'raw', openMs: Infinity } as const
    await using source = await openForReading(unlimited, report)
    const bytes = new Uint8Array(source.size)
    await source.read(bytes, 0)
    t.ok(Buffer.compare(bytes, patterned(MEBIBYTE)) === 0)
    t.match(lines, [/does not serve ranges.*the whole file is fetched now, once/])
  },
)

t.test('a place that wants to be left alone while an image is opened is', async (t) => {
  await using away = await RangeServer.open({ '/base.raw': patterned(MEBIBYTE) })
  await using mirror = await RangeServer.open({ '/base.raw': patterned(MEBIBYTE) })
  away.onRequest = () => ({ kind: 'status', status: 429, headers: { 'Retry-After': '300' } })
  mirror.onRequest = ({ number }) => (number < 3 ? { kind: 'status', status: 503 } : undefined)
  const plan = planOf({ kind: 'url', url: new URL(away.url('/base.raw')) }, [])
  const http = { ...plan.http, mirrors: [new URL(mirror.url('/base.raw'))] }
  await using source = await openForReading(
    { ...plan, http, format: 'raw', openMs: Infinity },
    () => {},
  )
  t.equal(source.size, MEBIBYTE)
  t.equal(away.traffic().requests, 1)
})

t.test('a path in a remote image is a path on its server', async (t) => {
  overlay(at('rooted.qcow2'), '/base.raw', 'raw')
  server.put('/deep/rooted.qcow2', readFileSync(at('rooted.qcow2')))
  const bytes = await bytesOf(remote('/deep/rooted.qcow2'), [SAME])
  t.ok(Buffer.compare(bytes, patterned(MEBIBYTE)) === 0)
})

t.test('a file that only the image names may not redirect to another server', async (t) => {
  await using other = await RangeServer.open({ '/base.raw': patterned(MEBIBYTE) })
  const headers = { location: other.url('/base.raw') }
  server.onRequest = ({ path }) =>
    path === '/base.raw' ? { kind: 'status', status: 302, headers } : undefined
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  await t.rejects(bytesOf(remote('/top.qcow2'), [SAME]), SourceRefused)
  t.equal(other.traffic().requests, 0)
  const named = ['/middle.qcow2', '/base.raw'].map((path): Permission => {
    return { kind: 'image', image: remote(path) }
  })
  const bytes = await bytesOf(remote('/top.qcow2'), named)
  t.equal(bytes.length, MEBIBYTE, 'unless it is the user who names it')
  t.ok(other.traffic().requests > 0)
})

t.test('credentials stay with the server that they are for', async (t) => {
  await using other = await RangeServer.open({ '/middle.qcow2': served('middle.qcow2') })
  other.put('/base.raw', served('base.raw'))
  const seen: (string | undefined)[] = []
  other.onRequest = ({ headers }) => {
    seen.push(headers['x-key']?.toString())
    return undefined
  }
  const elsewhere: Permission = {
    kind: 'image',
    image: { kind: 'url', url: new URL(other.url('/middle.qcow2')) },
  }
  await bytesOf(remote('/top.qcow2'), [elsewhere, SAME])
  t.ok(seen.length > 0)
  t.ok(seen.every((key) => key === undefined))
})

t.test('images that only a query tells apart are no circle', async (t) => {
  const [top, base] = ['/image?id=top', '/image?id=secret'].map(remote)
  const chain = chained(chained([], top!), base!)
  t.equal(chain.length, 2)
  try {
    chained(chain, base!)
    t.fail('a circle')
  } catch (error) {
    t.type(error, ImageInvalid)
    t.notMatch(String(error), /secret/, 'a query may be a password')
  }
})
