import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { describe, openImage } from '../../../src/format/registry.ts'
import { withEachQemu } from '../../fixtures/oracles.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, mapsLike, readsLike } from '../content.ts'

/** What only newer releases of QEMU write. */
const SINCE = { discardNoUnref: 8.1 }
const CLUSTER_BYTES = 16_384

await withEachQemu(t, async (t, qemu) => {
  const version = await qemu.version()
  await writeFile(qemu.path('disk'), content(2 ** 20, 9))

  t.test('what is said of LUKS', async (t) => {
    const options = { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key' }
    const objects = ['secret,id=key,data=x']
    await qemu.create('luks', {
      size: 4096,
      objects,
      with: { ...options, 'encrypt.iter-time': 10 },
    })
    const info = await qemu.info('luks')
    const ours = await describe(new BytesSource(await qemu.bytes('luks')))
    t.match(ours['format-specific'], info['format-specific'])
  })

  for (const extended of ['off', 'on']) {
    const skip = version < SINCE.discardNoUnref && `QEMU ${version} does not keep them`
    const name = `no-unref-${extended}`
    t.test(
      `discarded clusters that stay allocated, extended L2 ${extended}`,
      { skip },
      async (t) => {
        const options = `cluster_size=${CLUSTER_BYTES},extended_l2=${extended}`
        await qemu.convert('disk', name, ['-f', 'raw', '-O', 'qcow2', '-o', options])
        const image = `driver=qcow2,discard=unmap,discard-no-unref=on,file.filename=${name}`
        const commands = [
          'discard 0 64k',
          'discard 80k 16k',
          'write -P 5 84k 3k',
          'discard 200k 100k',
        ]
        await qemu.io(image, [...commands, 'write -z -u 400k 32k'], ['--image-opts'])
        await using opened = await openImage(new BytesSource(await qemu.bytes(name)), {})
        await readsLike(opened, await qemu.disk(name))
        await mapsLike(t, opened, await qemu.map(name))
      },
    )
  }
})
