import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { CheckReport } from '../../../src/format/check-report.ts'
import { check, explain } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content } from '../content.ts'

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await writeFile(qemu.path('disk'), content(2 << 20))

async function checked(name: string, refcounts = true): Promise<CheckReport> {
  const report = await check(new BytesSource(await qemu.bytes(name)), { refcounts })
  if (!report) throw new Error('qcow2 can be checked')
  return report
}

/** What QEMU counted, who does not mention what is 0. */
function sound(numbers: Record<string, number>) {
  return { corruptions: 0, leaks: 0, ...numbers }
}

const CASES: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  plain: {},
  old: { compat: '0.10' },
  small: { cluster_size: 512, refcount_bits: 1 },
  wide: { cluster_size: 4096, refcount_bits: 64 },
  narrow: { cluster_size: 1024, refcount_bits: 4 },
  extended: { extended_l2: 'on' },
}
for (const [name, options] of Object.entries(CASES))
  for (const compressed of [false, true])
    t.test(`${name}${compressed ? ', compressed' : ''}: the numbers of qemu-img`, async (t) => {
      const file = `${name}-${compressed}`
      const list = Object.entries({ compat: '1.1', ...options }).map(([k, v]) => `${k}=${v}`)
      const words = ['-f', 'raw', '-O', 'qcow2', '-o', list.join(',')]
      await qemu.convert('disk', file, compressed ? ['-c', ...words] : words)
      await qemu.io(file, ['discard 1M 128k', 'write -z 0 64k'])
      if (!['small', 'narrow'].includes(name)) {
        await qemu.img('snapshot', '-c', 'one', file)
        await qemu.io(file, ['write -P 3 1500k 100k'])
      }
      if (name === 'plain') await qemu.img('bitmap', '--add', '-g', '512', file, 'b')
      t.match(await checked(file), sound(await qemu.check(file)))
      t.match(await checked(file, false), { corruptions: 0, leaks: 0 })
    })

t.test('clusters in an external data file: the numbers of qemu-img', async (t) => {
  for (const data_file_raw of ['on', 'off']) {
    const name = `data-${data_file_raw}`
    const options = { data_file: `${name}.data`, data_file_raw, cluster_size: 4096 }
    await qemu.create(name, { size: '1M', with: options })
    await qemu.io(name, ['write -P 1 0 4k', 'write -P 2 64k 100k', 'write -z 70k 8k'])
    t.match(await checked(name), sound(await qemu.check(name)))
  }
})

t.test('the length of a compressed cluster may reach into what follows', async (t) => {
  await qemu.create('long', { size: '1M', with: { cluster_size: 4096 } })
  await qemu.io('long', ['write -c -P 1 0 4k', 'write -P 2 4k 64k'])
  const image = Buffer.from(await qemu.bytes('long'))
  const table = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(40))) & 0xfffffffffffe00n)
  // As many sectors as the entry can say: all bits that are not of the offset.
  image.writeBigUInt64BE(image.readBigUInt64BE(table) | (0xfn << 58n), table)
  await writeFile(qemu.path('long'), image)
  await qemu.img('check', '-r', 'all', 'long').catch(() => {})
  const theirs = await qemu.check('long')
  t.notOk(theirs['corruptions'])
  t.match(await checked('long'), sound(theirs))
  // Where it begins nothing else can be.
  image.writeBigUInt64BE(
    0x8000000000000000n | (image.readBigUInt64BE(table) & 0xfff000n),
    table + 8,
  )
  await writeFile(qemu.path('long'), image)
  t.match(await checked('long', false), { problems: [{ what: /overlaps/ }] })
})

t.test('a LUKS header is in use', async (t) => {
  const encrypt = { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key' }
  const objects = ['secret,id=key,data=x']
  await qemu.create('luks', { size: '1M', objects, with: { ...encrypt, 'encrypt.iter-time': 100 } })
  t.match(await checked('luks'), { corruptions: 0, leaks: 0 })
})

const SAMPLE = readFileSync(join(import.meta.dirname, '../../fixtures/images/ext2.qcow2'))
const view = new DataView(SAMPLE.buffer, SAMPLE.byteOffset)
const L1 = Number(view.getBigUint64(40))
const L2 = Number(view.getBigUint64(L1) & 0x00ff_ffff_ffff_fe00n)

async function broken(at: number, value: bigint): Promise<CheckReport> {
  const image = new Uint8Array(SAMPLE)
  new DataView(image.buffer).setBigUint64(at, value)
  await writeFile(qemu.path('broken'), image)
  const report = await checked('broken')
  const theirs = await qemu.check('broken')
  t.equal(report.corruptions > 0, 'corruptions' in theirs, 'QEMU sees it too')
  return report
}

t.test('entries that are wrong are found, with their place', async (t) => {
  t.match(await broken(L2, 0x8000000000050200n), {
    problems: [{ what: /does not begin at a cluster/, where: { entry: L2, offset: 0x50200 } }],
  })
  t.match(await broken(L2, 0x8000000090000000n), {
    problems: [{ what: /beyond the end/, where: { entry: L2 } }],
  })
  t.match(await broken(L2, 0x8000000000000000n | BigInt(L1)), {
    problems: [{ what: /overlaps/ }, { what: /too low/ }, { kind: 'leak' }],
  })
  t.match(await broken(L2, view.getBigUint64(L2) & ~(1n << 63n)), {
    problems: [{ what: /bit 63/, where: { entry: L2, refcount: 1 } }],
  })
  t.match(await broken(L2, view.getBigUint64(L2) | 4n), { problems: [{ what: /reserved/ }] })
  t.match(await broken(L1, view.getBigUint64(L1) | 4n), { problems: [{ what: /reserved/ }] })
  t.match(await broken(L2, 0n), { leaks: 1, corruptions: 0 })
})

t.test('overlaps are found without reference counts', async (t) => {
  const image = new Uint8Array(SAMPLE)
  new DataView(image.buffer).setBigUint64(L2, BigInt(L2))
  const report = await check(new BytesSource(image), { refcounts: false })
  t.match(report, {
    corruptions: 1,
    problems: [{ what: /overlaps/, where: { entry: L2, offset: L2 } }],
  })
})

/** What is found in an image after the 64 bits at `within` of its first L2 table were changed. */
async function withEntry(name: string, within: number, change: (entry: bigint) => bigint) {
  const image = Buffer.from(await qemu.bytes(name))
  const table = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(40))) & 0xfffffffffffe00n)
  image.writeBigUInt64BE(change(image.readBigUInt64BE(table + within)), table + within)
  await writeFile(qemu.path('changed'), image)
  return checked('changed')
}

t.test('what the reader refuses is found', async (t) => {
  await qemu.create('external', { size: '1M', with: { data_file: 'external.data' } })
  await qemu.io('external', ['write -P 1 0 256k'])
  const own = 0x8000000000010000n
  t.match(await withEntry('external', 8, () => own & ~(1n << 63n)), {
    problems: [{ what: /bit 63/ }],
  })
  t.ok((await qemu.check('changed'))['corruptions'], 'QEMU sees it too')
  for (const elsewhere of [0x8000000000020000n, 0x8000000000000000n])
    t.match(await withEntry('external', 8, () => elsewhere), {
      problems: [{ what: /where it may not be/ }],
    })
  t.match(await withEntry('external', 8, () => 0x4000000000010000n), {
    problems: [{ what: /compressed cluster with an external data file/ }],
  })
  t.match(await withEntry('external', 8, () => 1n), { corruptions: 0 })

  await qemu.create('old', { size: '1M', with: { compat: '0.10' } })
  await qemu.io('old', ['write -P 1 0 64k'])
  t.match(await withEntry('old', 0, (entry) => entry | 1n), { problems: [{ what: /reserved/ }] })

  await qemu.create('extended', { size: '1M', with: { extended_l2: 'on' } })
  await qemu.io('extended', ['write -c -P 1 0 64k'])
  t.match(await withEntry('extended', 8, () => 1n), { problems: [{ what: /subclusters/ }] })
  t.ok((await qemu.check('changed'))['corruptions'], 'QEMU sees it too')
})

t.test('an image with features that nobody knows is not called sound', async (t) => {
  const image = new Uint8Array(SAMPLE)
  image[76] = 1
  const source = new BytesSource(image)
  const refused = { name: 'ImageUnsupported', message: /bit 24/ }
  await t.rejects(check(source, { refcounts: true }), refused)
  await t.rejects(explain(source, 0, {}), refused)
})

t.test('snapshots that share a table cost no more than one of them', async (t) => {
  const SNAPSHOTS = 1000
  const L1_ENTRIES = 4 * 2 ** 20
  await qemu.create('sharing', { size: '1M', with: { cluster_size: 4096 } })
  await qemu.io('sharing', ['write -P 1 0 64k'])
  await qemu.img('snapshot', '-c', 'one', 'sharing')
  const image = Buffer.from(await qemu.bytes('sharing'))
  const table = Number(image.readBigUInt64BE(64))
  const entry = Buffer.alloc(72)
  image.copy(entry, 0, table)
  entry.writeUInt32BE(L1_ENTRIES, 8)
  const clusters = Math.ceil(image.length / 4096)
  const snapshots = Buffer.concat(Array.from({ length: SNAPSHOTS }, () => entry))
  image.writeUInt32BE(SNAPSHOTS, 60)
  image.writeBigUInt64BE(BigInt(clusters * 4096), 64)
  const gap = Buffer.alloc(clusters * 4096 - image.length)
  const source = new BytesSource(Buffer.concat([image, gap, snapshots]))
  const report = await check(source, { refcounts: false })
  t.ok(report && report.corruptions >= SNAPSHOTS - 1)
  t.ok(source.readBytes < 10 * source.size, `${source.readBytes} bytes of ${source.size}`)
})
