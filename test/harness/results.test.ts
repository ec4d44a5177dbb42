import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { keepResult, keptResults } from '../../qemu-harness/kept-results.ts'
import { Lines } from '../../qemu-harness/lines.ts'
import { observe } from '../../qemu-harness/observation.ts'
import { table, writes } from '../../qemu-harness/report.ts'
import { type BootResult, measured } from '../../qemu-harness/result.ts'

/** Nothing is optional in it, so that whoever adds a field to results has it kept. */
type Whole = Required<BootResult> & {
  readonly seconds: Required<BootResult['seconds']>
  readonly daemonBytes: Required<NonNullable<BootResult['daemonBytes']>>
}

const WHOLE: Whole = {
  name: 'whole',
  ok: true,
  breakdown: 'QEMU crashed',
  reason: 'none',
  seconds: {
    loaded: 1,
    attached: 2,
    multiUser: 3,
    poweredOff: 4,
    largestWait: 56.3,
    afterLastUnit: 6,
    total: 7,
  },
  toMultiUser: { requests: 8, bytes: 9 },
  traffic: { requests: 10, bytes: 11 },
  imageBytes: 12,
  daemonBytes: { own: 36_000_000, file: 95_000_000, peak: 15 },
  pinnedBytes: 16,
  comparedBytes: 17_000_000,
  ratios: { reads: 18 },
  emulated: true,
  log: 'console',
}

/** What a guest and its console say; its machine has ended when both have. */
function machine() {
  const [console, verdict] = [new PassThrough(), new PassThrough()]
  const multiUser = Promise.withResolvers<void>()
  const lines = { console: new Lines(console), verdict: new Lines(verdict) }
  const observed = observe(lines, () => {
    multiUser.resolve()
    return { requests: 0, bytes: 0 }
  })
  return { console, verdict, lines, multiUser: multiUser.promise, observed }
}

t.test('a result is kept whole', async (t) => {
  const directory = t.testdir()
  await keepResult(WHOLE, directory)
  t.strictSame(await keptResults(['whole', 'never booted'], directory), [WHOLE])
})

t.test('results that were kept before some of it was looked at are good', async (t) => {
  const directory = t.testdir()
  const old = { name: 'old', ok: true, seconds: { total: 1 }, traffic: WHOLE.traffic, log: '' }
  const daemonBytes = { own: 36_000_000, peak: 15 }
  writeFileSync(join(directory, 'old.json'), JSON.stringify({ ...old, daemonBytes }))
  const kept = await keptResults(['old'], directory)
  t.strictSame(kept, [{ ...old, daemonBytes }])
  t.match(table(kept), /\| 36\.0 MB \| - +\|/)
})

t.test('waits, the memory of files, and what was compared are in the table', async (t) => {
  const shown = table([WHOLE])
  t.match(shown, /\| 56\.3 s +\|/)
  t.match(shown, /\| 36\.0 MB \| 95\.0 MB \|/)
  t.match(shown, /whole: 17\.0 MB of writes read back; lost writes: none/)
  t.strictSame(writes({ ...WHOLE, ok: false }), [], 'of a bad boot its reason says what was lost')
})

t.test('a guest reports waits, the memory of the daemon, and what it compared', async (t) => {
  const { console, verdict, observed } = machine()
  const measures = {
    largestWaitSeconds: 26.2,
    daemonRssAnon: 1,
    daemonRssFile: 2,
    daemonVmHWM: 3,
    'compared ext4': 8,
    'compared xfs': 16,
  }
  for (const [measure, value] of Object.entries(measures)) {
    verdict.write(`${JSON.stringify({ measure, value })}\n`)
  }
  verdict.end()
  console.end()
  const { seconds, daemonBytes, comparedBytes } = measured(await observed)
  t.equal(seconds.largestWait, 26.2)
  t.strictSame(daemonBytes, { own: 1, file: 2, peak: 3 })
  t.equal(comparedBytes, 24)
})

t.test('of a guest that restarts it is the last end that counts', async (t) => {
  const { console, verdict, lines, multiUser, observed } = machine()
  const booted = '{"measure":"multiUserSeconds","value":1}\n'
  verdict.write(booted)
  console.write('[ OK ] Reached target reboot.target\nnext\n')
  await Promise.all([multiUser, lines.console.find(/next/)])
  const betweenMs = performance.now()
  verdict.end(booted)
  console.end('[ OK ] Reached target reboot.target\n')
  const { bootedAtMs = 0, lastBootedAtMs = 0, lastUnitAtMs = 0 } = await observed
  t.ok(lastUnitAtMs >= betweenMs)
  t.ok(bootedAtMs <= betweenMs - 1000)
  t.ok(lastBootedAtMs >= betweenMs - 1000)
})
