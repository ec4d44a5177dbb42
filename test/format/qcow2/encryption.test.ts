import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { triesOf } from '../../../src/format/qcow2/crypto/key-cost.ts'
import { readLuksHeader } from '../../../src/format/qcow2/crypto/luks-header.ts'
import type { Passphrase } from '../../../src/format/qcow2/crypto/unlock.ts'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, readsLike } from '../content.ts'

const SECRET = 'secret,id=key,data=correct horse'
const key = (words: string): Passphrase => {
  const bytes = Buffer.from(words)
  return async (refused) => (refused === 0 ? bytes : undefined)
}
const passphrase = key('correct horse')
const DISK_BYTES = 700_000 - (700_000 % 512)

t.setTimeout(120_000)
const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await writeFile(qemu.path('disk'), content(DISK_BYTES))

const KINDS: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  'aes-256-xts': {},
  'aes-128-xts': { 'encrypt.cipher-alg': 'aes-128', 'encrypt.hash-alg': 'sha1' },
  'aes-256-cbc-essiv': {
    'encrypt.cipher-mode': 'cbc',
    'encrypt.ivgen-alg': 'essiv',
    'encrypt.ivgen-hash-alg': 'sha256',
    'encrypt.hash-alg': 'sha512',
  },
  'aes-128-cbc-plain': {
    'encrypt.cipher-alg': 'aes-128',
    'encrypt.cipher-mode': 'cbc',
    'encrypt.ivgen-alg': 'plain',
    'encrypt.hash-alg': 'ripemd160',
  },
}

async function encrypted(name: string, format: string, options: object): Promise<Uint8Array> {
  const size = DISK_BYTES
  const common = { 'encrypt.format': format, 'encrypt.key-secret': 'key', cluster_size: 4096 }
  await qemu.create(name, { size, with: { ...common, ...options }, objects: [SECRET] })
  const target = `driver=qcow2,file.filename=${name},encrypt.key-secret=key`
  const words = ['convert', '--object', SECRET, '-f', 'raw', '-n', '--target-image-opts']
  await qemu.img(...words, 'disk', target)
  return qemu.bytes(name)
}

// Side by side: whatever is asked of it, QEMU takes seconds to measure its key derivation.
const luks = (name: string, options = {}) =>
  encrypted(name, 'luks', { ...options, 'encrypt.iter-time': 10 })
const images = new Map(
  await Promise.all(
    Object.entries(KINDS).map(
      async ([name, options]) => [name, await luks(name, options)] as const,
    ),
  ),
)

for (const [name, bytes] of images)
  t.test(`LUKS with ${name}`, async (t) => {
    const open = (passphrase: Passphrase) => openImage(new BytesSource(bytes), { passphrase })
    await using image = await open(passphrase)
    await readsLike(image, await qemu.bytes('disk'))
    await t.rejects(open(key('wrong')), { name: 'UsageError' })
  })

t.test('any key slot opens a LUKS image', async (t) => {
  await writeFile(qemu.path('slots'), images.get('aes-256-xts')!)
  const second = 'secret,id=new,data=battery staple'
  const image = 'driver=qcow2,file.filename=slots,encrypt.key-secret=key'
  const state = 'encrypt.state=active,encrypt.keyslot=5,encrypt.iter-time=10'
  const options = `${state},encrypt.new-secret=new`
  const objects = ['--object', SECRET, '--object', second]
  await qemu.img('amend', ...objects, '--image-opts', image, '-o', options)
  await using opened = await openImage(new BytesSource(await qemu.bytes('slots')), {
    passphrase: key('battery staple'),
  })
  await readsLike(opened, await qemu.bytes('disk'))
  t.pass()
})

t.test(
  'a passphrase is tried on the cheapest key slots, or on the one that is named',
  async (t) => {
    const image = Buffer.from(await qemu.bytes('slots'))
    const at = image.indexOf('LUKS\xba\xbe', 0, 'latin1')
    const place = { offset: at, length: image.length - at }
    const first = at + 208
    const slotBytes = 48
    // All eight are in use; but for 5, which is the last that QEMU wrote, by a hostile hand.
    for (const slot of [0, 1, 2, 3, 4, 6, 7]) {
      image.copy(image, first + slot * slotBytes, first, first + slotBytes)
      image.writeUInt32BE(0x00ac71f3, first + slot * slotBytes)
      image.writeUInt32BE(12 * 2 ** 20, first + slot * slotBytes + 4)
    }
    const header = await readLuksHeader(new BytesSource(image), place)
    const { slots, left } = triesOf(header)
    t.strictSame([slots[0], slots.length, left], [header.slots[5], 3, 5])
    t.strictSame(triesOf(header, 7), { slots: [header.slots[7]], left: 0 })

    const open = (words: string, keySlot?: number) =>
      openImage(new BytesSource(image), {
        passphrase: key(words),
        ...(keySlot === undefined ? {} : { keySlot }),
      })
    for (const slot of [undefined, 5]) {
      await using opened = await open('battery staple', slot)
      await readsLike(opened, await qemu.bytes('disk'))
    }
    await t.rejects(open('wrong', 5), { name: 'UsageError', message: /opens none of the LUKS/ })
    await t.rejects(open('wrong'), { name: 'ImageUnsupported', advice: /--luks-key-slot/ })
    image.writeUInt32BE(0, first + 6 * slotBytes)
    await t.rejects(open('wrong', 6), {
      name: 'UsageError',
      message: /key slot 6 .* is not in use/,
    })
  },
)

t.test('as many key slots as QEMU fills by itself are all tried', async (t) => {
  const image = await encrypted('usual', 'luks', {})
  const at = Buffer.from(image).indexOf('LUKS\xba\xbe', 0, 'latin1')
  const place = { offset: at, length: image.length - at }
  const header = await readLuksHeader(new BytesSource(image), place)
  const [slot] = header.slots
  t.strictSame(triesOf({ ...header, slots: [slot!, slot!, slot!] }).left, 0)
})

t.test(
  'a passphrase is asked for until one is right, and only by an encrypted image',
  async (t) => {
    const asked: number[] = []
    const answers = ['wrong', 'also wrong', 'correct horse']
    const ask: Passphrase = async (refused) => {
      asked.push(refused)
      return Buffer.from(answers[refused]!)
    }
    const image = new BytesSource(images.get('aes-128-xts')!)
    await using opened = await openImage(image, { passphrase: ask })
    await readsLike(opened, await qemu.bytes('disk'))
    t.strictSame(asked, [0, 1, 2])
    await qemu.create('clear', { size: '1M' })
    await using clear = await openImage(new BytesSource(await qemu.bytes('clear')), {
      passphrase: ask,
    })
    t.equal(clear.size, 2 ** 20)
    t.equal(asked.length, 3)
  },
)

t.test('legacy AES', async (t) => {
  const bytes = await encrypted('aes', 'aes', {})
  await using image = await openImage(new BytesSource(bytes), { passphrase })
  await readsLike(image, await qemu.bytes('disk'))
  t.pass()
})

t.test('an encrypted image without a passphrase is refused', async (t) => {
  for (const name of ['aes-256-xts', 'aes'])
    await t.rejects(openImage(new BytesSource(await qemu.bytes(name)), {}), {
      name: 'ImageUnsupported',
      advice: /passphrase/,
    })
})

t.test('a damaged LUKS header ends in a named refusal, or opens all the same', async (t) => {
  const image = Buffer.from(images.get('aes-256-xts')!)
  const at = image.indexOf('LUKS\xba\xbe', 0, 'latin1')
  // The fields before the digest, and the place, stripes and state of the first key slot.
  const fields = [4, 6, 8, 40, 44, 72, 76, 104, 108, 208, 248, 252]
  for (const field of fields)
    for (const value of [0, 1, 65, 0x7fff_ffff, 0xffff_ffff]) {
      const damaged = Buffer.from(image)
      damaged.writeUInt32BE(value, at + field)
      const opened = openImage(new BytesSource(damaged), { passphrase })
      const end = await opened.then(
        () => 'opens',
        (error: unknown) => (error instanceof Error ? error.name : 'nothing'),
      )
      const ends = ['opens', 'ImageInvalid', 'ImageUnsupported', 'UsageError']
      if (!ends.includes(end)) t.fail(`${field} = ${value}: ${end}`)
    }
})
