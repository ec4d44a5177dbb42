import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { describe } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

/** What qemu-img says of the image alone, without what it says of its files. */
async function theirs(name: string): Promise<Record<string, unknown>> {
  const info = await qemu.info(name)
  for (const key of ['filename', 'actual-size', 'full-backing-filename', 'children'])
    delete info[key]
  return info
}

async function ours(name: string): Promise<object> {
  const { header, snapshots, ...description } = await describe(
    new BytesSource(await qemu.bytes(name)),
  )
  if (!header) throw new Error('a qcow2 image has a header')
  for (const snapshot of snapshots ?? []) t.type(snapshot['disk-size'], 'number')
  const told = snapshots?.map((snapshot) => ({ ...snapshot, 'disk-size': undefined }))
  return JSON.parse(JSON.stringify({ ...description, snapshots: told }))
}

const CASES = {
  plain: {},
  old: { compat: '0.10' },
  zstd: { compression_type: 'zstd' },
  extended: { extended_l2: 'on', lazy_refcounts: 'on' },
  refcounts: { refcount_bits: 1, cluster_size: 512 },
  data: { data_file: 'data.raw', data_file_raw: 'on' },
}
for (const [name, options] of Object.entries(CASES))
  t.test(`${name}: the words of qemu-img info`, async (t) => {
    await qemu.create(name, { size: '1M', with: options })
    t.strictSame(await ours(name), await theirs(name))
  })

t.test('backing file, bitmaps and snapshots', async (t) => {
  await qemu.create('top', { size: '2M', backing: 'plain', backingFormat: 'qcow2' })
  await qemu.img('bitmap', '--add', 'top', 'one')
  await qemu.img('bitmap', '--add', '--disable', '-g', '32768', 'top', 'two')
  await qemu.img('snapshot', '-c', 'before', 'top')
  t.strictSame(await ours('top'), await theirs('top'))
})

t.test('encryption, without a passphrase', async (t) => {
  const objects = ['secret,id=key,data=x']
  const luks = { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key' }
  await qemu.create('luks', { size: '1M', objects, with: { ...luks, 'encrypt.iter-time': 100 } })
  // What newer releases say of it is in newer.test.ts.
  t.match(await ours('luks'), await theirs('luks'))
  const aes = { 'encrypt.format': 'aes', 'encrypt.key-secret': 'key' }
  await qemu.create('aes', { size: '1M', objects, with: aes })
  t.strictSame(await ours('aes'), await theirs('aes'))
})

t.test('the header with its feature bits by name, of an image that cannot be opened', async (t) => {
  const sample = join(import.meta.dirname, '../../fixtures/images/ext2.qcow2')
  const image = new Uint8Array(readFileSync(sample))
  image.set([0, 0, 0, 0, 0, 0, 1, 3], 72)
  const { header, 'dirty-flag': dirty } = await describe(new BytesSource(image))
  t.ok(dirty)
  t.strictSame(header?.features.incompatible, ['dirty bit', 'corrupt bit', 'bit 8'])
  t.equal(header?.fields['cluster_bits'], 16)
  t.match(header?.extensions, [{ name: 'feature name table', length: Number }])
})

t.test('a raw image', async (t) => {
  const description = await describe(new BytesSource(new Uint8Array(1000)), 'raw')
  t.strictSame(description, { 'virtual-size': 1000, format: 'raw', 'dirty-flag': false })
})
