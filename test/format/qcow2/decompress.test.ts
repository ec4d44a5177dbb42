import { randomBytes } from 'node:crypto'
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { type Decompress, decompressor, isDamage } from '../../../src/format/qcow2/decompress.ts'
import { zstdFrame } from '../../../src/format/qcow2/zstd-frame.ts'

const CLUSTER = 4096

/** On a thread and then alone, by decoders that take turns at both; it has to come to the same. */
const filled = (decompress: Decompress) => async (packed: Uint8Array, bytes: number) => {
  const clusters = [false, true].map(async (alone) => {
    const cluster = new Uint8Array(bytes)
    await decompress.cluster(packed, cluster, alone)
    return cluster
  })
  const [first, second] = await Promise.allSettled(clusters)
  if (first?.status !== 'fulfilled' || second?.status !== 'fulfilled') {
    for (const outcome of [first, second])
      t.ok(outcome?.status === 'rejected' && isDamage(outcome.reason), 'for no other reason')
    throw new Error('not sound', { cause: [first, second] })
  }
  t.equal(Buffer.compare(first.value, second.value), 0)
  return first.value
}
const inflate = filled(decompressor('zlib', CLUSTER, 4 * CLUSTER))
const zstd = decompressor('zstd', CLUSTER, 4 * CLUSTER)
const unzstd = filled(zstd)

/** What QEMU leaves behind a compressed cluster: the beginning of the next one, cut off. */
const followed = (packed: Uint8Array) =>
  new Uint8Array(Buffer.concat([packed, packed.subarray(0, 9)]))
const bytesOf = fc.uint8Array({ minLength: CLUSTER, maxLength: CLUSTER })

t.test('a cluster comes back, whatever follows its compressed bytes', async () => {
  await fc.assert(
    fc.asyncProperty(bytesOf, async (cluster) => {
      const deflated = followed(zlib.deflateRawSync(cluster, { windowBits: 12 }))
      const zstd = followed(zlib.zstdCompressSync(cluster))
      const inflated = await inflate(deflated, CLUSTER)
      return (
        Buffer.compare(inflated, cluster) === 0 &&
        Buffer.compare(await unzstd(zstd, CLUSTER), cluster) === 0
      )
    }),
    { numRuns: 50 },
  )
})

t.test('decompression stops when it has produced a cluster of data', async (t) => {
  const twice = randomBytes(2 * CLUSTER)
  t.strictSame(
    Buffer.from(await inflate(zlib.deflateRawSync(twice), CLUSTER)),
    twice.subarray(0, CLUSTER),
  )
})

t.test('less than a cluster, and zstd that is more than one, are refused', async (t) => {
  const short = Buffer.alloc(CLUSTER - 1, 7)
  const long = Buffer.alloc(CLUSTER + 1, 7)
  await t.rejects(inflate(zlib.deflateRawSync(short), CLUSTER))
  await t.rejects(unzstd(zlib.zstdCompressSync(short), CLUSTER))
  await t.rejects(unzstd(zlib.zstdCompressSync(long), CLUSTER))
  await t.rejects(inflate(Buffer.alloc(64, 0xff), CLUSTER))
  await t.rejects(unzstd(Buffer.alloc(64, 0xff), CLUSTER))
})

t.test('a failure that is no fault of the bytes is not called damage', async (t) => {
  const failed = (code: string) => Object.assign(new Error('failed'), { code })
  for (const code of ['Z_DATA_ERROR', 'Z_BUF_ERROR', 'ZSTD_error_corruption_detected'])
    t.ok(isDamage(failed(code)), code)
  for (const code of ['Z_MEM_ERROR', 'ZSTD_error_memory_allocation', 'ERR_OUT_OF_RANGE'])
    t.notOk(isDamage(failed(code)), code)
  t.notOk(isDamage(new TypeError('a bug')))
})

t.test('a cluster may be several zstd frames, and skippable ones between them', async (t) => {
  const cluster = randomBytes(CLUSTER)
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  const packed = Buffer.concat([
    zlib.zstdCompressSync(cluster.subarray(0, 1000)),
    skipped,
    zlib.zstdCompressSync(cluster.subarray(1000)),
  ])
  t.strictSame(Buffer.from(await unzstd(followed(packed), CLUSTER)), cluster)
})

t.test('a frame that asks for a huge window gets no more than it can need', async (t) => {
  const params = { [zlib.constants.ZSTD_c_windowLog]: 27 }
  const stream = zlib.createZstdCompress({ params })
  const cluster = Buffer.alloc(2 ** 20, 'netcow ')
  stream.write(cluster.subarray(0, 1000))
  stream.end(cluster.subarray(1000))
  const packed = Buffer.concat(await Array.fromAsync(stream))
  t.ok(packed[zstdFrame(packed, 0)!.windowAt!]! >> 3 >= 17, 'asks for 128 MiB')
  t.strictSame(Buffer.from(await unzstd(packed, cluster.length)), cluster)
  t.ok(packed[zstdFrame(packed, 0)!.windowAt!]! >> 3 <= 10)
})

t.test('the end of a frame is found from its headers alone', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.boolean(), (bytes, checksum) => {
      const params = { [zlib.constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 }
      const packed = zlib.zstdCompressSync(bytes, { params })
      return zstdFrame(followed(packed), 0)?.length === packed.length
    }),
  )
})

t.test('frames that stand one behind the other are decoded as one', async (t) => {
  const clusters = randomBytes(3 * CLUSTER)
  const frames = [0, 1, 2].map((i) =>
    zlib.zstdCompressSync(clusters.subarray(i * CLUSTER, (i + 1) * CLUSTER)),
  )
  const starts = [0, frames[0]!.length, frames[0]!.length + frames[1]!.length]
  const target = new Uint8Array(3 * CLUSTER)
  const packed = followed(Buffer.concat(frames))
  for (let round = 0; round < 50; round++) {
    target.fill(0)
    t.ok(await zstd.run(packed, starts, target))
    t.equal(Buffer.compare(target, clusters), 0)
  }
  t.notOk(await zstd.run(packed, [starts[0]!, starts[2]!], target.subarray(0, 2 * CLUSTER)))
})
