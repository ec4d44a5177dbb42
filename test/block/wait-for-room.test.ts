import { mock } from 'node:test'
import t from 'tap'
import { MemoryDevice } from '../../src/block/memory.ts'
import { PAGE } from '../../src/block/page-store.ts'
import { Overlay } from '../../src/block/overlay.ts'
import { Quota, mostDirtyBytes } from '../../src/block/quota.ts'
import { WaitForRoom } from '../../src/block/wait-for-room.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'

/** Large enough for writes of both classes: the reserve has one megabyte. */
const LIMIT = 4 * 2 ** 20
const BULK = 128 * 1024

function full() {
  const base = deviceOf(new Uint8Array(2 * LIMIT))
  const quota = new Quota(LIMIT)
  const lines: string[] = []
  const device = new WaitForRoom(
    new Overlay(base, new MemoryDevice(base.size, quota)),
    quota,
    (line) => lines.push(line),
  )
  return { quota, lines, device }
}

/** Fills all but the reserve. */
async function fill({ device, quota }: ReturnType<typeof full>): Promise<void> {
  const edge = LIMIT - quota.reserveBytes
  for (let at = 0; at < edge; at += BULK) await device.write(patterned(BULK), at)
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a full overlay makes new writes wait, and only those, until a discard', async (t) => {
  const overlay = full()
  const { device, lines, quota } = overlay
  await fill(overlay)
  // The first bulk write goes into the reserve at once; the next ones take their turns.
  await device.write(patterned(BULK, 4), LIMIT)
  let written = false
  const waiting = device.write(patterned(BULK, 5), LIMIT + BULK)?.then(() => (written = true))
  await device.write(patterned(BULK, 9), 0)
  await device.flush()
  const target = new Uint8Array(BULK)
  await device.read(target, 0)
  t.strictSame(target, patterned(BULK, 9), 'rewrites and reads go on')
  t.notOk(written)
  t.equal(device.waiting, 1)
  await device.discard(BULK, 2 * BULK)
  await waiting
  await device.read(target, LIMIT + BULK)
  t.strictSame(target, patterned(BULK, 5))
  t.equal(device.waiting, 0)
  t.equal(lines.length, 1)
  t.match(lines[0], /overlay is full/)
  t.ok(quota.usedBytes <= LIMIT)
})

t.test('small writes, as a journal makes, pass those that wait', async (t) => {
  const overlay = full()
  const { device, quota } = overlay
  await fill(overlay)
  const bulk = [4, 5, 6].map(async (seed) => {
    await device.write(patterned(BULK, seed), LIMIT + seed * BULK)
  })
  await settled()
  const before = quota.leftBytes
  for (let page = 0; page < 16; page++) await device.write(patterned(PAGE), LIMIT + page * PAGE)
  t.equal(before - quota.leftBytes, 16 * PAGE, 'out of the reserve')
  quota.resize(2 * LIMIT)
  await Promise.all(bulk)
})

t.test('nothing goes beyond the limit, and a larger limit lets all go on', async (t) => {
  const overlay = full()
  const { device, quota } = overlay
  const writes = Array.from({ length: (2 * LIMIT) / BULK }, async (_, index) => {
    await device.write(patterned(BULK), index * BULK)
  })
  await settled()
  t.ok(quota.usedBytes >= LIMIT - quota.reserveBytes)
  t.ok(quota.usedBytes <= LIMIT)
  t.ok(device.waiting > 0)
  quota.resize(4 * LIMIT)
  await Promise.all(writes)
  t.equal(quota.usedBytes, 2 * LIMIT)
  t.equal(device.waiting, 0)
})

t.test(
  'all that the kernel may hold back has room in the reserve, in large writes too',
  async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const overlay = full()
    const { device, quota } = overlay
    await fill(overlay)
    let waiting = mostDirtyBytes(LIMIT) / BULK
    t.ok(waiting > 1)
    for (let count = waiting; count > 0; count--) {
      void device.write(patterned(BULK), LIMIT + count * BULK)?.then(() => waiting--)
    }
    for (let minute = 0; minute < 10; minute++) {
      await settled()
      mock.timers.tick(60_000)
    }
    await settled()
    t.equal(waiting, 0)
    t.ok(quota.leftBytes > 0, 'and something is left for the journal')
  },
)
