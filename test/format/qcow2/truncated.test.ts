import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { ImageInvalid } from '../../../src/errors.ts'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, readAll, showsLike } from '../content.ts'

const DISK_BYTES = 200 * 1024
const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await writeFile(qemu.path('disk'), content(DISK_BYTES, 9))

/** The disk, or `undefined` if the image is refused or breaks off where it may not. */
async function ours(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    await using image = await openImage(new BytesSource(bytes), {})
    return await readAll(image)
  } catch (error) {
    if (error instanceof ImageInvalid) return undefined
    throw error
  }
}

async function theirs(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  await writeFile(qemu.path('cut'), bytes)
  return qemu.disk('cut').catch(() => undefined)
}

const KINDS = {
  plain: { flags: [], with: 'cluster_size=4096' },
  zlib: { flags: ['-c'], with: 'cluster_size=16384' },
  zstd: { flags: ['-c'], with: 'cluster_size=16384,compression_type=zstd' },
}
for (const [kind, options] of Object.entries(KINDS))
  t.test(`${kind}: a file that ends early reads as QEMU reads it`, async (t) => {
    const words = ['-f', 'raw', '-O', 'qcow2', '-o', options.with]
    await qemu.convert('disk', kind, [...options.flags, ...words])
    const whole = await qemu.bytes(kind)
    for (let i = 1; i <= 12; i++) {
      const length = Math.floor((whole.length * i) / 12) - (i % 5)
      const cut = whole.subarray(0, length)
      const [a, b] = [await ours(cut), await theirs(cut)]
      t.equal(a === undefined, b === undefined, `${length} bytes: who refuses`)
      if (!a || !b) continue
      t.equal(Buffer.compare(a, b), 0, `${length} bytes: the same disk`)
      await using image = await openImage(new BytesSource(cut), {})
      await showsLike(t, image, await qemu.map('cut'))
    }
  })

t.test('a compressed cluster that is missing in part is refused with advice', async (t) => {
  const whole = await qemu.bytes('zlib')
  await using image = await openImage(new BytesSource(whole.subarray(0, whole.length - 4096)), {})
  await t.rejects(readAll(image), { message: /not sound zlib/, advice: /copied whole/ })
})

t.test('that the L1 table is missing is said at once', async (t) => {
  const whole = await qemu.bytes('plain')
  const l1 = Number(whole.readBigUInt64BE(40))
  const flaws: string[] = []
  const open = (bytes: Uint8Array) =>
    openImage(new BytesSource(bytes), { tell: (flaw) => flaws.push(flaw.line) })
  {
    await using _image = await open(whole.subarray(0, l1 - 1))
    t.match(flaws, [new RegExp(`^clusters of the image lie behind .*offset ${l1 - 1}`)])
  }
  await using _image = await open(whole.subarray(0, l1))
  t.equal(flaws.length, 1, 'an empty image may end before it')
})

t.test('that tables are missing is said at once', async (t) => {
  const whole = await qemu.bytes('plain')
  const l1 = Number(whole.readBigUInt64BE(40))
  const l2 = Number(whole.readBigUInt64BE(l1) & 0xff_ffff_ffff_fe00n)
  const flaws: string[] = []
  const cut = new BytesSource(whole.subarray(0, l2))
  await using image = await openImage(cut, { tell: (flaw) => flaws.push(flaw.line) })
  t.match(flaws, [new RegExp(`^clusters of the image lie behind .*offset ${l2}`)])
  await readAll(image)
  t.equal(flaws.length, 1)
})

t.test('that clusters are missing is said once, when one is read', async (t) => {
  const whole = await qemu.bytes('plain')
  const flaws: string[] = []
  const open = (bytes: Uint8Array) =>
    openImage(new BytesSource(bytes), { tell: (flaw) => flaws.push(flaw.line) })
  {
    await using image = await open(whole.subarray(0, whole.length - 4095))
    await readAll(image)
    t.strictSame(flaws, [], 'the last cluster may end early')
  }
  const end = whole.length - 2 * 4096
  await using image = await open(whole.subarray(0, end))
  await image.read(new Uint8Array(4096), 0)
  t.strictSame(flaws, [])
  for (let tries = 0; tries < 2; tries++) {
    for (let at = 0; at < image.size;) at += (await image.extent(at, image.size - at)).length
    await readAll(image)
  }
  t.strictSame(flaws, [
    `clusters of the image lie behind the end of their file, and read as zeroes (offset ${end}); look whether the file was copied whole`,
  ])
})

t.test('a virtual size that is no multiple of 512 is kept', async (t) => {
  const image = await qemu.bytes('plain')
  for (const size of [1, 511, 513, 4097, DISK_BYTES - 1]) {
    image.writeBigUInt64BE(BigInt(size), 24)
    const disk = await ours(image)
    t.equal(disk?.length, size)
    const known = await theirs(image)
    t.equal(known?.length, size - (size % 512), 'QEMU leaves out what is no whole sector')
    t.equal(Buffer.compare(disk!.subarray(0, known!.length), known!), 0)
  }
})

t.test('a disk without a byte can be opened', async (t) => {
  const image = await qemu.bytes('plain')
  image.writeBigUInt64BE(0n, 24)
  t.equal((await ours(image))?.length, 0)
})
