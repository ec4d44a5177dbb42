import fc from 'fast-check'
import t from 'tap'
import { MemoryDevice } from '../../src/block/memory.ts'
import { PAGE } from '../../src/block/page-store.ts'
import { Quota } from '../../src/block/quota.ts'
import { StoreFull } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { deviceOf } from '../fixtures/device.ts'

const PAGES = 80
const SIZE = PAGES * PAGE - 1000
const content = patterned(SIZE)

conforms(t, 'memory', content, async () => deviceOf(content))

const range = fc.integer({ min: 0, max: SIZE - 1 }).chain((offset) =>
  fc.record({
    offset: fc.constant(offset),
    length: fc.integer({ min: 1, max: Math.min(SIZE - offset, 20 * PAGE) }),
  }),
)
const action = fc.record({ kind: fc.constantFrom('write', 'discard', 'zero'), range })

t.test('a RAM device behaves like a buffer and gives back every page it frees', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
      const quota = new Quota(PAGES * PAGE)
      const device = new MemoryDevice(SIZE, quota)
      const model = new Uint8Array(SIZE)
      for (const [seed, { kind, range }] of actions.entries()) {
        const { offset, length } = range
        if (kind === 'write') {
          const data = patterned(length, seed + 1)
          model.set(data, offset)
          await device.write(data, offset)
        } else {
          model.fill(0, offset, offset + length)
          await device[kind === 'zero' ? 'zero' : 'discard'](offset, length)
        }
      }
      const target = new Uint8Array(SIZE)
      await device.read(target, 0)
      const same = Buffer.compare(target, model) === 0
      await device.discard(0, SIZE)
      return same && quota.usedBytes === 0
    }),
    { numRuns: 100 },
  )
})

t.test('a write that finds no room changes nothing', async (t) => {
  const device = new MemoryDevice(4 * PAGE, new Quota(2 * PAGE))
  await device.write(patterned(2 * PAGE), 0)
  await t.rejects(async () => device.write(patterned(2 * PAGE, 7), PAGE), StoreFull)
  const target = new Uint8Array(4 * PAGE)
  await device.read(target, 0)
  t.strictSame(target.subarray(0, 2 * PAGE), patterned(2 * PAGE))
  t.ok(target.subarray(2 * PAGE).every((byte) => byte === 0))
  await device.write(patterned(PAGE, 3), 0)
  t.pass('what is already held can be rewritten')
})

t.test('the user is warned once at each mark', async (t) => {
  const marks: number[] = []
  const device = new MemoryDevice(20 * PAGE, new Quota(20 * PAGE, (percent) => marks.push(percent)))
  for (let page = 0; page < 20; page++) await device.write(patterned(PAGE), page * PAGE)
  t.strictSame(marks, [80, 90, 95])
})
