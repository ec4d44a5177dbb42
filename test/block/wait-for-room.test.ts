import t from 'tap'
import { MemoryDevice } from '../../src/block/memory.ts'
import { PAGE } from '../../src/block/page-store.ts'
import { Overlay } from '../../src/block/overlay.ts'
import { Quota } from '../../src/block/quota.ts'
import { WaitForRoom } from '../../src/block/wait-for-room.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'

t.test('a full overlay makes new writes wait, and only those, until a discard', async (t) => {
  const base = deviceOf(new Uint8Array(8 * PAGE))
  const quota = new Quota(2 * PAGE)
  const lines: string[] = []
  await using device = new WaitForRoom(
    new Overlay(base, new MemoryDevice(base.size, quota)),
    quota,
    (line) => lines.push(line),
  )
  await device.write(patterned(2 * PAGE), 0)
  let written = false
  const writing = device.write(patterned(PAGE, 5), 4 * PAGE)
  const waiting = writing?.then(() => (written = true))
  await device.write(patterned(PAGE, 9), 0)
  await device.flush()
  const target = new Uint8Array(PAGE)
  await device.read(target, 0)
  t.strictSame(target, patterned(PAGE, 9), 'rewrites and reads go on')
  t.notOk(written)
  await device.discard(PAGE, PAGE)
  await waiting
  await device.read(target, 4 * PAGE)
  t.strictSame(target, patterned(PAGE, 5))
  t.equal(lines.length, 1)
  t.match(lines[0], /overlay is full/)
})
