import fc from 'fast-check'
import t from 'tap'
import { BlockCache } from '../../src/block/cache.ts'
import { SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'
import { rangesOf, yields } from '../fixtures/ranges.ts'

const BLOCK = 512
const content = patterned(20 * BLOCK - 100)
const options = {
  limitBytes: 8 * BLOCK,
  blockBytes: BLOCK,
  fetchBytes: 4 * BLOCK,
  speculativeReads: 0,
}

conforms(t, 'cache', content, async () => new BlockCache(new FaultySource(content), options))

t.test('reads of any order and overlap yield the bytes of the source', async () => {
  await fc.assert(
    fc.asyncProperty(rangesOf(content.length), async (ranges) => {
      const cache = new BlockCache(new FaultySource(content), options)
      return yields(content, ranges, (target, offset) => cache.read(target, offset))
    }),
    { numRuns: 100 },
  )
})

t.test('a block is fetched once for all who want it, and neighbours together', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, options)
  const readers = [0, 100, 700, 1500].map(async (offset) => cache.read(new Uint8Array(500), offset))
  await Promise.all(readers)
  const bytes = source.reads.reduce((sum, { length }) => sum + length, 0)
  t.equal(bytes, 4 * BLOCK)
  t.equal(source.reads.length, 1)
  await cache.read(new Uint8Array(4 * BLOCK), 6 * BLOCK)
  const halves = [6, 8].map((block) => ({ offset: block * BLOCK, length: 2 * BLOCK }))
  t.strictSame(source.reads.slice(1), halves, 'no read crosses a multiple of fetchBytes')
})

t.test('what was not used for longest is dropped first', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, { ...options, limitBytes: 2 * BLOCK })
  const read = (block: number) => cache.read(new Uint8Array(BLOCK), block * BLOCK)
  for (const block of [0, 1, 0, 2]) await read(block)
  const before = source.reads.length
  await read(0)
  t.equal(source.reads.length, before, 'block 0 was touched and is kept')
  await read(1)
  t.equal(source.reads.length, before + 1, 'block 1 was dropped')
})

t.test('a failure reaches everybody who waits and is forgotten', async (t) => {
  const source = new FaultySource(content, (read) => {
    if (read === 1) throw new SourceUnavailable('away')
  })
  const cache = new BlockCache(source, options)
  const target = new Uint8Array(2 * BLOCK)
  const both = [cache.read(target, 0), cache.read(new Uint8Array(10), BLOCK)]
  for (const failed of both) await t.rejects(async () => failed, SourceUnavailable)
  await cache.read(target, 0)
  t.strictSame(target, content.subarray(0, 2 * BLOCK))
})

t.test('seeded bytes are not fetched again', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, options)
  cache.seed(content.subarray(0, 3 * BLOCK + 7), 0)
  await cache.read(new Uint8Array(3 * BLOCK), 0)
  t.equal(source.reads.length, 0)
})

t.test('a read that failed leaves its buffer to whoever has it then', async (t) => {
  const late = Promise.withResolvers<void>()
  const source = new FaultySource(content, (read) => {
    if (read === 1) throw new SourceUnavailable('away')
    return late.promise
  })
  const cache = new BlockCache(source, options)
  const target = new Uint8Array(8 * BLOCK)
  const failed = Promise.resolve(cache.read(target, 0)).catch(() => target.fill(7))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(source.reads.length, 2)
  late.resolve()
  await failed
  await new Promise((resolve) => setImmediate(resolve))
  t.ok(target.every((byte) => byte === 7))
})
