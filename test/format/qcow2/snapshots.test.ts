import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { readsLike } from '../content.ts'

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

for (const compat of ['0.10', '1.1'])
  t.test(`snapshots by name or id, with their own size, in ${compat}`, async (t) => {
    const name = `s-${compat}`
    const resizes = compat === '1.1'
    await qemu.create(name, { size: 1 << 20, with: { compat, cluster_size: 4096 } })
    const disks: Buffer[] = []
    for (const [i, snapshot] of ['first', '7', 'the third one'].entries()) {
      await qemu.io(name, [`write -P ${i + 1} ${i * 10_240} 128k`])
      disks.push(await qemu.disk(name))
      await qemu.img('snapshot', '-c', snapshot, name)
      if (resizes) await qemu.img('resize', '-f', 'qcow2', name, '+512K')
    }
    const bytes = await qemu.bytes(name)
    const open = (snapshot: string) => openImage(new BytesSource(bytes), { snapshot })
    for (const [i, words] of [
      ['1', 'first'],
      ['2', '7'],
      ['3', 'the third one'],
    ].entries())
      for (const word of words) {
        await using image = await open(word)
        await readsLike(image, disks[i]!)
      }
    await t.rejects(open('none'), { name: 'UsageError', advice: /1 "first", 2 "7"/ })
    t.equal(disks[1]!.length, (1 << 20) + (resizes ? 1 << 19 : 0))
  })
