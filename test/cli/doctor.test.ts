import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { checkImage } from '../../src/cli/doctor/image.ts'
import { checkMachine, requireMemory } from '../../src/cli/doctor/machine.ts'
import { parseOptions } from '../../src/cli/options.ts'
import { imagePlan } from '../../src/cli/plan.ts'
import { RangeServer } from '../fixtures/range-server.ts'

const MEMORY = { 'proc/meminfo': 'MemTotal:     1048576 kB\nMemAvailable:  524288 kB\n' }
const NEEDS = { cacheBytes: 2 ** 26, overlayBytes: 0 }
const MODULES = `lib/modules/${release()}`

/** A machine that consists of these files. */
function machine(t: Test, files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'netcow-doctor-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries({ ...MEMORY, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, userId: 1000 }
}

function verdicts(t: Test, files: Readonly<Record<string, string>>, needs = NEEDS) {
  const findings = checkMachine(machine(t, files), needs)
  return Object.fromEntries(findings.map(({ subject, verdict }) => [subject, verdict]))
}

t.test('the driver may be loaded, there to be loaded, or missing', async (t) => {
  t.match(verdicts(t, {}), { rights: 'warning', 'nbd driver': 'bad' })
  const module = { [`${MODULES}/modules.dep`]: 'kernel/drivers/block/nbd.ko.xz:\n' }
  t.match(verdicts(t, module), { 'nbd driver': 'good' })
  const other = { [`${MODULES}/modules.dep`]: 'kernel/drivers/block/xnbd.ko: nbd.kox\n' }
  t.match(verdicts(t, other), { 'nbd driver': 'bad' })
  const loaded = { 'sys/module/nbd/parameters/max_part': '0\n', 'sys/block/nbd0/pid': '1\n' }
  t.match(verdicts(t, loaded), { 'nbd driver': 'good', devices: 'warning', partitions: 'warning' })
  const free = { 'sys/module/nbd/parameters/max_part': '16\n', 'sys/block/nbd0/size': '0\n' }
  const found = verdicts(t, free)
  t.match(found, { devices: 'good' })
  t.notOk(found['partitions'])
})

t.test('memory must hold the cache, and should hold the overlay', async (t) => {
  const of = (cacheMiB: number, overlayMiB: number) =>
    verdicts(t, {}, { cacheBytes: cacheMiB * 2 ** 20, overlayBytes: overlayMiB * 2 ** 20 })[
      'memory'
    ]
  t.equal(of(64, 256), 'good')
  t.equal(of(64, 512), 'warning', 'it may never be full')
  t.equal(of(64, 1025), 'bad', 'the machine has less')
  t.equal(of(500, 0), 'bad')
})

t.test('a boot is refused what memory can never hold, and warned of what it may not', async (t) => {
  const of = (texts: Parameters<typeof parseOptions>[0]) =>
    requireMemory(machine(t, {}), parseOptions(texts, String))
  t.equal(of({ overlay: 'memory:256M' }), undefined)
  t.match(of({ overlay: 'memory:1023M' }), /may run out.*; allow less for the overlay/)
  t.throws(() => of({ overlay: 'memory:1025M' }), /too little memory/)
  t.throws(() => of({ overlay: 'file:/dev/sdz', cache: '500M' }), /too little memory/)
})

t.test('an image is looked at down to its contents', async (t) => {
  await using server = await RangeServer.open()
  server.put('/good', { file: 'test/fixtures/images/ext2.qcow2' })
  const bytes = readFileSync('test/fixtures/images/ext2.qcow2')
  server.put('/part', bytes.subarray(0, bytes.length / 2))
  server.put('/text', Buffer.from('<html>no such page</html>'.repeat(10)))
  const options = parseOptions({ timeout: '0' }, String)
  const of = async (path: string) => {
    const plan = await imagePlan(`http://127.0.0.1:${server.port}${path}`, options)
    return checkImage(plan, () => {})
  }
  const good = await of('/good')
  t.ok(good.every(({ verdict }) => verdict === 'good'))
  t.match(good.map(({ subject }) => subject).at(-1), 'contents')
  t.match(good.find(({ subject }) => subject === 'server')?.found, /known by "/)
  t.match(
    (await of('/part')).find(({ subject }) => subject === 'tables'),
    { verdict: 'bad', found: /beyond the end of the file/, exitCode: 4 },
    'what came only in part',
  )
  t.match((await of('/text')).at(-1), { verdict: 'bad', exitCode: 4 })
  t.match((await of('/missing')).at(-1), { verdict: 'bad', exitCode: 3 })
  server.onRequest = () => ({ kind: 'ignore-range' })
  t.match(await of('/good'), [{}, {}, { subject: 'server', verdict: 'warning' }, {}, {}, {}])
})
