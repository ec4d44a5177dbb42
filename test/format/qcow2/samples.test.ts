import { copyFileSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { extentsOf, extentsOfQemu, readsLike } from '../content.ts'

const FOLDER = join(import.meta.dirname, '../../fixtures/images')
const SAMPLES = ['ext2.qcow2', 'image.qcow2', 'fs-overhead.qcow2', 'qcow.bin']
/** The larger ones hold nothing but holes. */
const MOST_BYTES = 64 * 2 ** 20

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

for (const sample of SAMPLES)
  t.test(`${sample} reads as qemu-img reads it`, async (t) => {
    copyFileSync(join(FOLDER, sample), qemu.path(sample))
    await using image = await openImage(new BytesSource(readFileSync(join(FOLDER, sample))), {})
    t.strictSame(await extentsOf(image), extentsOfQemu(await qemu.map(sample)))
    if (image.size > MOST_BYTES) return
    const disk = await qemu.disk(basename(sample))
    await readsLike(image, disk)
  })
