import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { BlockSource } from '../../../src/block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../../src/errors.ts'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'

const SAMPLE = readFileSync(join(import.meta.dirname, '../../fixtures/images/ext2.qcow2'))
const READ_BYTES = 1 << 20

/** Section "Header": every field as [name, offset, width]. */
const FIELDS = [
  ['magic', 0, 4],
  ['version', 4, 4],
  ['backing_file_offset', 8, 8],
  ['backing_file_size', 16, 4],
  ['cluster_bits', 20, 4],
  ['size', 24, 8],
  ['crypt_method', 32, 4],
  ['l1_size', 36, 4],
  ['l1_table_offset', 40, 8],
  ['refcount_table_offset', 48, 8],
  ['refcount_table_clusters', 56, 4],
  ['nb_snapshots', 60, 4],
  ['snapshots_offset', 64, 8],
  ['incompatible_features', 72, 8],
  ['compatible_features', 80, 8],
  ['autoclear_features', 88, 8],
  ['refcount_order', 96, 4],
  ['header_length', 100, 4],
  ['compression_type', 104, 1],
] as const

/** What the error that refuses an image shows. */
interface Refusal {
  readonly name: string
  readonly message?: RegExp
  readonly where?: Readonly<Record<string, number>>
}

function withField(at: number, width: number, value: bigint): Uint8Array {
  const image = new Uint8Array(SAMPLE)
  for (let byte = 0; byte < width; byte++)
    image[at + byte] = Number((value >> BigInt(8 * (width - 1 - byte))) & 0xffn)
  return image
}

/** Either bytes or one of the two errors that an image may end in. */
async function ends(image: Uint8Array): Promise<string> {
  let opened: BlockSource | undefined
  try {
    opened = await openImage(new BytesSource(image), {})
    const length = Math.min(READ_BYTES, opened.size)
    if (length > 0) await opened.read(new Uint8Array(length), 0)
    return 'bytes'
  } catch (error) {
    if (error instanceof ImageInvalid) return 'invalid'
    if (error instanceof ImageUnsupported) return 'unsupported'
    throw error
  } finally {
    await opened?.[Symbol.asyncDispose]()
  }
}

for (const [name, at, width] of FIELDS)
  t.test(`any ${name} ends in bytes or in a named refusal`, async (t) => {
    const bits = BigInt(8 * width)
    const values = new Set<bigint>([0n, (1n << bits) - 1n, 1n, 2n, 3n, 511n, 4096n])
    for (let bit = 0n; bit < bits; bit++) values.add(1n << bit).add((1n << bit) + 1n)
    for (const value of values) {
      const end = await ends(withField(at, width, value & ((1n << bits) - 1n)))
      if (!['bytes', 'invalid', 'unsupported'].includes(end)) t.fail(`${value}: ${end}`)
    }
  })

t.test('hostile fields are refused with their numbers', async (t) => {
  const refused = async (at: number, width: number, value: bigint, error: Refusal) =>
    t.rejects(openImage(new BytesSource(withField(at, width, value)), {}), error)
  await refused(20, 4, 8n, { name: 'ImageInvalid', where: { cluster_bits: 8 } })
  await refused(20, 4, 63n, { name: 'ImageInvalid', where: { cluster_bits: 63 } })
  await refused(24, 8, 1n << 62n, { name: 'ImageUnsupported' })
  await refused(24, 8, 1n << 50n, { name: 'ImageInvalid', where: { l1_size: 1 } })
  await refused(36, 4, 0xffffffffn, { name: 'ImageInvalid', where: { offset: 40 } })
  await refused(40, 8, 0x30001n, { name: 'ImageInvalid', where: { offset: 40 } })
  await refused(56, 4, 0n, { name: 'ImageInvalid', where: { offset: 56 } })
  await refused(60, 4, 0x10001n, { name: 'ImageInvalid', where: { offset: 64 } })
  await refused(100, 4, 72n, { name: 'ImageInvalid', where: { offset: 100 } })
  await refused(104, 1, 1n, { name: 'ImageInvalid', where: { offset: 104 } })
  await refused(104, 1, 9n, { name: 'ImageUnsupported', where: { offset: 104 } })
  await refused(72, 8, 1n << 40n, { name: 'ImageUnsupported', message: /bit 40/ })
})

t.test('subclusters smaller than a sector are refused, as QEMU does', async (t) => {
  await using qemu = await Qemu.open()
  for (const clusterBytes of [512, 8192]) {
    await qemu.create('small', { size: '8K', with: { cluster_size: clusterBytes } })
    const bytes = await qemu.bytes('small')
    bytes[79]! |= 16
    const where = { cluster_bits: Math.log2(clusterBytes), least: 14 }
    await t.rejects(openImage(new BytesSource(bytes), {}), { name: 'ImageInvalid', where })
  }
})

t.test('an unknown feature is refused by the name that the image gives it', async (t) => {
  const image = withField(72, 8, 1n << 5n)
  const at = Buffer.from(image).indexOf('lazy refcounts')
  image[at - 2] = 0 // an incompatible feature
  image[at - 1] = 5
  await t.rejects(openImage(new BytesSource(image), {}), {
    name: 'ImageUnsupported',
    message: /lazy refcounts \(bit 5\)/,
  })
})

t.test('what is not QCOW2 is refused by its own name', async (t) => {
  const qemu = await Qemu.open()
  t.teardown(() => qemu[Symbol.asyncDispose]())
  const refused = async (bytes: Uint8Array, message: RegExp, advice?: RegExp) =>
    t.rejects(openImage(new BytesSource(bytes), {}), { message, ...(advice && { advice }) })
  for (const [format, name] of [
    ['qcow', /QCOW version 1/],
    ['vmdk', /VMDK/],
    ['vdi', /VDI/],
    ['vhdx', /VHDX/],
    ['vpc', /VHD/],
    ['qed', /QED/],
    ['parallels', /Parallels/],
  ] as const) {
    await qemu.create(format, { format, size: '64K' })
    await refused(await qemu.bytes(format), name)
  }
  const disk = new Uint8Array(64 * 1024)
  await refused(disk, /nothing that netcow knows/, /--format raw/)
  disk.set([0x55, 0xaa], 510)
  await refused(disk, /MBR/, /--format raw/)
  disk.set(Buffer.from('EFI PART'), 512)
  await refused(disk, /GPT/, /--format raw/)
  await refused(Buffer.from('\r\n<!DOCTYPE html><p>404'), /HTML/, /address/)
  await refused(new Uint8Array(0), /empty/)
  await refused(SAMPLE.subarray(0, 40), /QCOW2/)
})

t.test('a snapshot that says its disk was 4 PiB costs no more than its tables', async (t) => {
  await using qemu = await Qemu.open()
  await qemu.create('huge', { size: '64K', with: { cluster_size: 512 } })
  await qemu.img('snapshot', '-c', 'huge', 'huge')
  const bytes = Buffer.from(await qemu.bytes('huge'))
  const diskSize = Number(bytes.readBigUInt64BE(64)) + 48
  t.equal(bytes.readBigUInt64BE(diskSize), 65_536n)
  bytes.writeBigUInt64BE(1n << 52n, diskSize)
  await using image = await openImage(new BytesSource(bytes), { snapshot: 'huge' })
  t.strictSame(await image.extent(0, image.size), { kind: 'hole', length: 2 ** 52, depth: 0 })
  const end = Buffer.alloc(512, 1)
  await image.read(end, 2 ** 52 - 512)
  t.ok(end.equals(Buffer.alloc(512)))
})
