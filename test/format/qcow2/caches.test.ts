import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { BlockCache } from '../../../src/block/cache.ts'
import { openImage } from '../../../src/format/registry.ts'
import { FaultySource } from '../../fixtures/faulty-source.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content } from '../content.ts'

const CLUSTERS = 32
const CLUSTER_BYTES = 65536
const disk = content(CLUSTERS * CLUSTER_BYTES, 5)
const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await writeFile(qemu.path('disk'), disk)
await qemu.convert('disk', 'packed', ['-c', '-f', 'raw', '-O', 'qcow2'])
const packed = await qemu.bytes('packed')

t.test('opening costs two reads: the header, and the L1 table', async (t) => {
  const source = new BytesSource(packed)
  await using image = await openImage(source, {})
  t.equal(source.reads, 2)
  await image.read(new Uint8Array(512), 0)
  t.equal(source.reads, 4, 'one for the L2 table, one for the cluster')
})

t.test(
  'a hot cluster is read at most twice, and decompressed once, however many ask for it',
  async (t) => {
    const source = new BytesSource(packed)
    await using image = await openImage(source, {})
    const targets = Array.from({ length: 50 }, () => new Uint8Array(4096))
    await Promise.all(targets.map(async (target, i) => image.read(target, (i % 16) * 4096)))
    t.equal(source.reads, 5, 'once for whoever asks first, and once for all others')
    for (const [i, target] of targets.entries())
      t.equal(Buffer.compare(target, disk.subarray((i % 16) * 4096, (i % 16) * 4096 + 4096)), 0)
  },
)

t.test('a hint about guest bytes fetches what they are packed in, and the L2 table', async (t) => {
  const source = new FaultySource(packed)
  const cache = new BlockCache(source, {
    limitBytes: packed.length * 2,
    blockBytes: 4096,
    fetchBytes: 65536,
    speculativeReads: 8,
  })
  await using image = await openImage(cache, {})
  image.prefetch?.(4 * CLUSTER_BYTES + 100, 3 * CLUSTER_BYTES)
  await new Promise((resolve) => setImmediate(resolve))
  const before = source.reads.length
  const target = new Uint8Array(3 * CLUSTER_BYTES)
  await image.read(target, 4 * CLUSTER_BYTES + 100)
  t.equal(
    Buffer.compare(target, disk.subarray(4 * CLUSTER_BYTES + 100).subarray(0, target.length)),
    0,
  )
  t.equal(source.reads.length, before)
})

t.test('a limit below one cluster keeps one', async (t) => {
  const source = new BytesSource(packed)
  await using image = await openImage(source, { decodedBytes: 0, tableBytes: 0 })
  for (let i = 0; i < 8; i++) await image.read(new Uint8Array(4096), i * 4096)
  t.equal(source.reads, 5)
})

t.test('a failed read is not remembered', async (t) => {
  const source = new BytesSource(packed)
  await using image = await openImage(source, {})
  const read = source.read.bind(source)
  source.read = () => Promise.reject(new Error('the cable'))
  const reading = async () => image.read(new Uint8Array(3 * CLUSTER_BYTES), 0)
  await t.rejects(reading, { message: 'the cable' })
  source.read = read
  const target = new Uint8Array(disk.length)
  await image.read(target, 0)
  t.equal(Buffer.compare(target, disk), 0)
})

t.test('contiguous clusters are one read', async (t) => {
  await qemu.convert('disk', 'plain', ['-f', 'raw', '-O', 'qcow2', '-S', '0'])
  const source = new BytesSource(await qemu.bytes('plain'))
  await using image = await openImage(source, {})
  const target = new Uint8Array(disk.length)
  await image.read(target, 0)
  t.equal(source.reads, 4)
  t.equal(Buffer.compare(target, disk), 0)
})

t.test('disposing of the image disposes of its source', async (t) => {
  const source = new BytesSource(packed)
  {
    await using image = await openImage(source, {})
    t.equal(image.size, disk.length)
  }
  t.ok(source.disposed)
})
