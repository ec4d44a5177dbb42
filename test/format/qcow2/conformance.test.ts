import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { conforms } from '../../fixtures/conformance.ts'
import { type CreateOptions, Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content } from '../content.ts'

/** Every kind of image keeps the promises of a block source. */
const DISK_BYTES = 64 * 1024
const SECRET = 'secret,id=key,data=open sesame'
const encrypted = { 'encrypt.format': 'aes', 'encrypt.key-secret': 'key' }
const KINDS: Readonly<Record<string, CreateOptions>> = {
  'version 2': { with: { compat: '0.10', cluster_size: 512 } },
  'extended L2': { with: { extended_l2: 'on', cluster_size: 16384 } },
  'backing file': { backing: 'base', backingFormat: 'qcow2', with: { cluster_size: 4096 } },
  'data file': { with: { data_file: 'file', cluster_size: 4096 } },
  'legacy AES': { with: { ...encrypted, cluster_size: 4096 }, objects: [SECRET] },
}

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
const disk = content(DISK_BYTES, 4)
await writeFile(qemu.path('disk'), disk)
await qemu.create('base', { size: DISK_BYTES })
await qemu.io('base', [`write -P 1 0 ${DISK_BYTES}`])

const base = await qemu.bytes('base')

const open = (image: Uint8Array, file: Uint8Array, snapshot?: string) =>
  openImage(new BytesSource(image), {
    passphrase: async () => Buffer.from('open sesame'),
    opener: {
      backing: () => openImage(new BytesSource(base), {}),
      dataFile: async () => new BytesSource(file),
    },
    ...(snapshot !== undefined && { snapshot }),
  })

async function make(kind: string, options: CreateOptions) {
  const name = kind.replaceAll(' ', '-')
  await qemu.create(name, { size: DISK_BYTES, ...options })
  const key = options.objects ? ',encrypt.key-secret=key' : ''
  const target = `driver=qcow2,file.filename=${name}${key}`
  const words = ['--object', SECRET, '-f', 'raw', '-n', '--target-image-opts']
  await qemu.img('convert', ...words, 'disk', target)
  const file = options.with?.['data_file'] ? await qemu.bytes('file') : new Uint8Array(0)
  return { kind, image: await qemu.bytes(name), file }
}

const images = []
for (const [kind, options] of Object.entries(KINDS)) images.push(await make(kind, options))
await qemu.img('snapshot', '-c', 'kept', 'version-2')
await qemu.io('version-2', [`write -P 9 0 ${DISK_BYTES}`])
const kept = await qemu.bytes('version-2')

for (const { kind, image, file } of images) conforms(t, kind, disk, () => open(image, file))
conforms(t, 'snapshot', disk, () => open(kept, new Uint8Array(0), 'kept'))
