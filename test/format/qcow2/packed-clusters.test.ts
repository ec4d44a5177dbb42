import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { ImageInvalid } from '../../../src/errors.ts'
import type { PackedRange } from '../../../src/format/qcow2/clusters.ts'
import { PackedClusters } from '../../../src/format/qcow2/packed-clusters.ts'
import { SeenOnce } from '../../../src/format/qcow2/seen-once.ts'
import { patterned } from '../../fixtures/bytes.ts'
import { FaultySource } from '../../fixtures/faulty-source.ts'

const CLUSTER = 64 * 1024
const COUNT = 12

/** Bytes that can be packed, and still differ everywhere. */
const disk = patterned(COUNT * CLUSTER).map((byte) => byte & 0x1f)

function packedDisk(count = COUNT) {
  const ranges: PackedRange[] = []
  const parts: Buffer[] = []
  let offset = 0
  for (let index = 0; index < count; index++) {
    const start = (index % COUNT) * CLUSTER
    const part = deflateRawSync(disk.subarray(start, start + CLUSTER))
    // As QEMU has it: in sectors, with the beginning of the next one at the end.
    ranges.push({ offset, length: part.length + 100 })
    parts.push(part)
    offset += part.length
  }
  return { ranges, bytes: Buffer.concat([...parts, Buffer.alloc(100)]) }
}

async function read(clusters: PackedClusters, range: PackedRange, within: number, length: number) {
  const target = Buffer.alloc(length)
  await clusters.readPart(range, within, target)
  return target
}

t.test('any part of any cluster, as often and as many at once as may be', async () => {
  const { ranges, bytes } = packedDisk()
  const wish = fc.record({
    index: fc.nat(COUNT - 1),
    within: fc.nat(CLUSTER - 1),
    length: fc.integer({ min: 1, max: CLUSTER }),
  })
  for (const remembered of [1, 4, COUNT]) {
    const clusters = new PackedClusters(
      new FaultySource(bytes),
      'zlib',
      CLUSTER,
      remembered * CLUSTER,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { maxLength: 40 }), async (wishes) => {
        const results = await Promise.all(
          wishes.map(async ({ index, within, length }) => {
            const most = Math.min(length, CLUSTER - within)
            const got = await read(clusters, ranges[index]!, within, most)
            const start = index * CLUSTER + within
            return got.equals(disk.subarray(start, start + most))
          }),
        )
        return results.every(Boolean)
      }),
      { numRuns: 30 },
    )
  }
})

t.test('what is read again is remembered as a whole', async (t) => {
  const { ranges, bytes } = packedDisk()
  const source = new FaultySource(bytes)
  const clusters = new PackedClusters(source, 'zlib', CLUSTER, COUNT * CLUSTER)
  for (const within of [4096, 8192]) await read(clusters, ranges[3]!, within, 4096)
  t.equal(source.reads.length, 2)
  const target = Buffer.alloc(512)
  t.equal(clusters.readPart(ranges[3]!, CLUSTER - 512, target), undefined, 'at once')
  t.ok(target.equals(disk.subarray(4 * CLUSTER - 512, 4 * CLUSTER)))
})

t.test('whole clusters are remembered when they are read again, and not before', async (t) => {
  const { ranges, bytes } = packedDisk()
  const source = new FaultySource(bytes)
  const clusters = new PackedClusters(source, 'zlib', CLUSTER, COUNT * CLUSTER)
  const run = async (first: number, last: number) => {
    const target = Buffer.alloc((last - first) * CLUSTER)
    const reading = clusters.readWhole(ranges.slice(first, last), target)
    await reading
    t.ok(target.equals(disk.subarray(first * CLUSTER, last * CLUSTER)), `${first} to ${last}`)
    return reading === undefined
  }
  t.notOk(await run(2, 6))
  t.equal(source.reads.length, 1)
  t.notOk(await run(5, 7), 'cluster 5 is known, 6 is new')
  t.equal(source.reads.length, 3)
  t.ok(await run(5, 6), 'at once')
  t.notOk(await run(4, 8))
  t.equal(source.reads.length, 6, '4, 6 and 7')
  t.ok(await run(4, 7), 'at once')
})

t.test('runs of whole clusters, in any order and at the same time', async () => {
  const { ranges, bytes } = packedDisk()
  const run = fc
    .tuple(fc.nat(COUNT - 1), fc.integer({ min: 1, max: 4 }))
    .map(([first, count]) => ({ first, last: Math.min(first + count, COUNT) }))
  for (const remembered of [1, 4, COUNT]) {
    const source = new FaultySource(bytes)
    const clusters = new PackedClusters(source, 'zlib', CLUSTER, remembered * CLUSTER)
    await fc.assert(
      fc.asyncProperty(fc.array(run, { maxLength: 20 }), async (runs) => {
        const results = await Promise.all(
          runs.map(async ({ first, last }) => {
            const target = Buffer.alloc((last - first) * CLUSTER)
            await clusters.readWhole(ranges.slice(first, last), target)
            return target.equals(disk.subarray(first * CLUSTER, last * CLUSTER))
          }),
        )
        return results.every(Boolean)
      }),
      { numRuns: 30 },
    )
  }
})

t.test(
  'the beginning is decompressed alone: what is missing behind it is not looked at',
  async (t) => {
    const { ranges, bytes } = packedDisk()
    const { offset, length } = ranges[5]!
    ranges[5] = { offset, length: Math.floor(length / 2) }
    const clusters = new PackedClusters(new FaultySource(bytes), 'zlib', CLUSTER, COUNT * CLUSTER)
    const start = 5 * CLUSTER
    t.ok((await read(clusters, ranges[5]!, 0, 4096)).equals(disk.subarray(start, start + 4096)))
    for (let count = 0; count < 20; count++) {
      await t.rejects(read(clusters, ranges[5]!, CLUSTER - 4096, 4096), ImageInvalid)
      t.ok(
        (await read(clusters, ranges[4]!, count, 99)).equals(
          disk.subarray(4 * CLUSTER + count, 4 * CLUSTER + count + 99),
        ),
      )
    }
  },
)

t.test('memory of clusters that were dropped is used again', async (t) => {
  const many = 100
  const { ranges, bytes } = packedDisk(many)
  const clusters = new PackedClusters(new FaultySource(bytes), 'zlib', CLUSTER, CLUSTER)
  const round = async () => {
    await Promise.all(ranges.map((range) => read(clusters, range, CLUSTER - 16, 16)))
    return process.memoryUsage().arrayBuffers
  }
  const before = await round()
  let most = 0
  for (let count = 0; count < 8; count++) most = Math.max(most, await round())
  t.ok(most - before < 64 * CLUSTER, `${(most - before) / CLUSTER} clusters more`)
})

t.test('what was seen once is forgotten in the order of asking', async (t) => {
  const seen = new SeenOnce(2)
  t.same(
    [1, 2, 1, 1].map((key) => seen.again(key)),
    [false, false, true, false],
  )
  t.same(
    [3, 1, 2].map((key) => seen.again(key)),
    [false, true, false],
  )
})

t.test('clusters that wait for their turn to be decompressed hold no memory', async (t) => {
  const back = Promise.withResolvers<void>()
  const large = 2 ** 21
  const away = new FaultySource(new Uint8Array(large), () => back.promise)
  const clusters = new PackedClusters(away, 'zstd', large, 16 * 2 ** 20)
  const before = process.memoryUsage().arrayBuffers
  const reads = Array.from({ length: 200 }, (_, index) =>
    read(clusters, { offset: index * 512, length: 512 }, 0, 4096).catch((error: unknown) => error),
  )
  await new Promise((resolve) => setImmediate(resolve))
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * 2 ** 20)
  back.resolve()
  for (const error of await Promise.all(reads)) t.type(error, ImageInvalid)
})
