import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { described } from '../../src/cli/commands/status.ts'
import { DeviceStatus } from '../../src/cli/device-status.ts'
import { liveStatus, resizeOverlay } from '../../src/cli/live-status.ts'
import { parseOptions } from '../../src/cli/options.ts'
import { devicePlan } from '../../src/cli/plan.ts'
import { UsageError } from '../../src/errors.ts'
import { openForUse } from '../../src/stack.ts'
import { patterned } from '../fixtures/bytes.ts'
import { RangeServer } from '../fixtures/range-server.ts'

const directory = t.testdir()
const raw = join(directory, 'raw')
const image = join(directory, 'image.qcow2')
writeFileSync(raw, patterned(4_000_000))
execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image])

const FACTS = {
  device: '/dev/nbd0',
  pid: 1234,
  image: 'http://server/image.qcow2',
  sizeBytes: 4_000_256,
  access: 'read-write',
  attachedAtUptimeMs: 1000,
  daemonSinceUptimeMs: 1000,
} as const

async function attached(server: RangeServer) {
  const options = parseOptions({ overlay: 'memory:1M' }, (name) => name)
  const url = server.url('/image.qcow2')
  const plan = await devicePlan(url, options, { whenFull: 'wait', defaultOverlayBytes: 0 })
  return openForUse(plan, () => {})
}

t.test('what a daemon says of itself is what netcow status understands', async (t) => {
  await using server = await RangeServer.open({ '/image.qcow2': readFileSync(image) })
  const served = await attached(server)
  await using source = served.source
  await source.read(new Uint8Array(1 << 20), 0)
  if (served.access === 'read-write') await served.source.write(patterned(8192), 0)
  const status = DeviceStatus.parse(JSON.parse(JSON.stringify(liveStatus(FACTS, served))))
  t.match(status.overlay, { kind: 'memory', usedBytes: 8192, limitBytes: 2 ** 20 })
  t.equal(status.sources.length, 1)
  t.ok(status.sources[0]!.requests > 0)
  t.ok(status.cache.heldBytes > 0)
  const text = described(status)
  t.match(text, /^\/dev\/nbd0\n/)
  t.match(text, /source: +http:.* answers; \d+ requests/)
  t.match(text, /overlay: +memory, 8 KiB of 1 MiB \(1 %\)/)
})

t.test('a source that is away is waited for, and status says so', async (t) => {
  await using server = await RangeServer.open({ '/image.qcow2': readFileSync(image) })
  const served = await attached(server)
  await using source = served.source
  await server.down()
  const reading = Promise.resolve(source.read(new Uint8Array(4096), 1 << 21))
  while (served.states()[0]?.waiting === undefined) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  const status = DeviceStatus.parse(JSON.parse(JSON.stringify(liveStatus(FACTS, served))))
  t.match(status.sources[0]?.waiting, { reads: 1 })
  t.match(described(status), /away for \d+ s, try \d+, 1 reads wait: /)
  await server.up()
  await reading
})

t.test('the overlay gets another limit, within reason', async (t) => {
  await using server = await RangeServer.open({ '/image.qcow2': readFileSync(image) })
  const served = await attached(server)
  await using _source = served.source
  resizeOverlay(served, 2 ** 21)
  t.equal(served.overlay?.limitBytes, 2 ** 21)
  t.throws(() => resizeOverlay(served, 2 ** 52), UsageError)
})
