import fc from 'fast-check'
import t from 'tap'
import { Align } from '../../src/block/align.ts'
import { Bytes } from '../../src/block/bytes.ts'
import { MemoryDevice } from '../../src/block/memory.ts'
import { Overlay, SECTOR } from '../../src/block/overlay.ts'
import { Pad } from '../../src/block/pad.ts'
import { extents } from '../../src/block/source.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { deviceOf } from '../fixtures/device.ts'

const SIZE = 8 * SECTOR
const content = patterned(SIZE)
const open = async () =>
  new Align(new Overlay(deviceOf(content), deviceOf(new Uint8Array(SIZE))), SECTOR)

conforms(t, 'align', content, open)

const range = fc
  .integer({ min: 0, max: SIZE - 1 })
  .chain((offset) =>
    fc.record({ offset: fc.constant(offset), length: fc.integer({ min: 1, max: SIZE - offset }) }),
  )

t.test('changes at single bytes leave their neighbours alone', async () => {
  const action = fc.record({ kind: fc.constantFrom('write', 'zero', 'read'), range })
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
      await using device = await open()
      const model = content.slice()
      for (const [seed, { kind, range }] of actions.entries()) {
        const { offset, length } = range
        if (kind === 'write') {
          model.set(patterned(length, seed), offset)
          await device.write(patterned(length, seed), offset)
        } else if (kind === 'zero') {
          model.fill(0, offset, offset + length)
          await device.zero(offset, length)
        } else {
          const target = new Uint8Array(length)
          await device.read(target, offset)
          if (Buffer.compare(target, model.subarray(offset, offset + length)) !== 0) return false
        }
      }
      const target = new Uint8Array(SIZE)
      await device.read(target, 0)
      return Buffer.compare(target, model) === 0
    }),
    { numRuns: 200 },
  )
})

t.test('concurrent writes within one sector all survive', async (t) => {
  await using device = await open()
  const bytes = patterned(SECTOR, 99)
  await Promise.all(
    Array.from(bytes, async (byte, at) => device.write(Uint8Array.of(byte), SECTOR + at)),
  )
  const target = new Uint8Array(SECTOR)
  await device.read(target, SECTOR)
  t.strictSame(target, bytes)
})

t.test('a discard keeps the sectors that it only cuts', async (t) => {
  await using device = await open()
  await device.discard(SECTOR - 1, SECTOR + 2)
  const target = new Uint8Array(SIZE)
  await device.read(target, 0)
  const expected = content.slice()
  expected.fill(0, SECTOR, 2 * SECTOR)
  t.strictSame(target, expected)
})

t.test('an image that ends within a sector has extents to its end', async (t) => {
  for (const bytes of [1, 511, 1000, 3 * SECTOR + 1]) {
    const padded = new Pad(new Bytes(patterned(bytes)), SECTOR)
    await using device = new Align(new Overlay(padded, new MemoryDevice(padded.size)), SECTOR)
    for (let offset = 0; offset < device.size; offset += 37) {
      let covered = 0
      for await (const { kind, length } of extents(device, offset)) {
        if (kind !== 'data' || length < 1) return t.fail(`${length} bytes of ${kind} at ${offset}`)
        covered += length
      }
      if (covered !== device.size - offset) return t.fail(`${covered} bytes from ${offset}`)
    }
    t.pass(`${bytes} bytes`)
  }
})
