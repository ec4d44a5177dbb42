import t from 'tap'
import { explain, openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

const CASES = { standard: {}, extended: { extended_l2: 'on' }, old: { compat: '0.10' } }
for (const [name, options] of Object.entries(CASES))
  t.test(`${name}: the last step leads to the byte`, async (t) => {
    await qemu.create(name, { size: '64M', with: { cluster_size: 16384, ...options } })
    await qemu.io(name, ['write -P 7 40M 100k', 'write -c -P 8 63M 16k', 'write -P 9 0 512'])
    const bytes = await qemu.bytes(name)
    const source = new BytesSource(bytes)
    await using image = await openImage(new BytesSource(bytes), {})
    const places = new Map((await qemu.map(name)).map((extent) => [extent.start, extent.offset]))
    const at = 40 * 2 ** 20
    const { steps, result } = await explain(source, at + 5, {})
    t.strictSame(
      steps.map(({ what }) => what),
      ['guest', 'L1 entry', 'L2 entry', 'standard cluster'],
    )
    t.match(result, { kind: 'data', offset: places.get(at)! + 5 })
    t.match(steps[2], { 'l2-index': (40 * 64) % (name === 'extended' ? 1024 : 2048) })
    t.match((await explain(source, 63 * 2 ** 20, {})).result, { kind: 'packed' })
    t.match((await explain(source, 50 * 2 ** 20, {})).result, { kind: 'hole' })
    t.match((await explain(source, 64 * 2 ** 20, {})).result, { kind: 'outside' })
    t.equal(image.size, 64 * 2 ** 20)
  })

t.test('a raw image is where it is', async (t) => {
  const { result } = await explain(new BytesSource(new Uint8Array(1000)), 999, { format: 'raw' })
  t.strictSame(result, { kind: 'data', offset: 999 })
})
