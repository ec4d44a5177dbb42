import { writeFile } from 'node:fs/promises'
import t from 'tap'
import type { BlockSource } from '../../../src/block/source.ts'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, mapsLike, readsLike } from '../content.ts'

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

/** Opens whatever the image names, which no one should do outside of a test. */
async function openChain(name: string, format: 'qcow2' | 'raw'): Promise<BlockSource> {
  return openImage(new BytesSource(await qemu.bytes(name)), {
    format,
    opener: {
      backing: (name, format) => openChain(name, format === 'raw' ? 'raw' : 'qcow2'),
      dataFile: async (name) => new BytesSource(await qemu.bytes(name!)),
    },
  })
}

async function agrees(name: string): Promise<BlockSource> {
  const image = await openChain(name, 'qcow2')
  await readsLike(image, await qemu.disk(name))
  return image
}

const SIZES = { shorter: 300_000, longer: 3 << 20 }
for (const [kind, size] of Object.entries(SIZES))
  for (const format of ['raw', 'qcow2'])
    t.test(`a ${kind} ${format} backing file shows through`, async (t) => {
      const base = `base-${kind}-${format}`
      const middle = `middle-${kind}-${format}`
      const top = `top-${kind}-${format}`
      // Written densely: QEMU would show the holes of a sparse file.
      await writeFile(qemu.path(format === 'raw' ? base : 'disk'), content(size))
      if (format === 'qcow2') await qemu.convert('disk', base, ['-f', 'raw', '-O', format])
      await qemu.create(middle, {
        size: '1M',
        backing: base,
        backingFormat: format,
        with: { cluster_size: 512, compat: '0.10' },
      })
      await qemu.io(middle, ['write -P 9 100k 3k', 'write -P 8 290k 30k'])
      await qemu.create(top, {
        size: '2M',
        backing: middle,
        backingFormat: 'qcow2',
        with: { cluster_size: 65536, extended_l2: 'on' },
      })
      await qemu.io(top, ['write -P 7 120k 3k', 'write -z 200k 10k', 'write -z 1100k 2k'])
      await using image = await agrees(top)
      await mapsLike(t, image, await qemu.map(top))
    })

for (const raw of ['on', 'off'])
  t.test(`clusters in an external data file, raw ${raw}`, async (t) => {
    const name = `data-${raw}`
    const options = { data_file: `${name}.data`, data_file_raw: raw, cluster_size: 4096 }
    await qemu.create(name, { size: '1M', with: options })
    await qemu.io(name, [
      'write -P 1 0 4k',
      'write -P 2 64k 100k',
      'write -z 70k 8k',
      'write -z 0 2k',
    ])
    await using image = await agrees(name)
    await mapsLike(t, image, await qemu.map(name))
  })

t.test('without an opener, images that name other files are refused by name', async (t) => {
  const refused = async (name: string, message: RegExp) =>
    t.rejects(openImage(new BytesSource(await qemu.bytes(name)), {}), {
      name: 'ImageUnsupported',
      message,
    })
  await refused('top-longer-raw', /middle-longer-raw/)
  await refused('data-on', /data-on\.data/)
})
