import fc from 'fast-check'
import t from 'tap'
import { BlockCache, type CacheOptions } from '../../src/block/cache.ts'
import { allowance } from '../../src/block/speculation.ts'
import { SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { LeapingClock } from '../fixtures/http-options.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'

const KIBIBYTE = 1024
const BLOCK = 4 * KIBIBYTE
const content = patterned(128 * BLOCK - 100)
/** A quarter of what is on the way is a window of four blocks. */
const FAR = { roundTripMs: 64, recentRoundTripMs: 64, bytesPerMs: KIBIBYTE }
const options: CacheOptions = {
  limitBytes: content.length + BLOCK,
  blockBytes: BLOCK,
  fetchBytes: 16 * BLOCK,
  speculativeReads: 4,
  speed: () => FAR,
  clock: new LeapingClock(),
}

conforms(
  t,
  'speculating cache',
  content,
  async () => new BlockCache(new FaultySource(content), options),
)

/** Until nothing is under way that a resolved promise could set off. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}

t.test('windows grow with what is on the way, within bounds, and are none on a slow link', (t) => {
  const window = (roundTripMs: number, bytesPerMs: number) =>
    allowance({ roundTripMs, recentRoundTripMs: roundTripMs, bytesPerMs }, 64 * KIBIBYTE)
      .windowBytes
  t.equal(window(6, 125_000), 256 * KIBIBYTE)
  t.equal(window(20, 25_000), 128 * KIBIBYTE)
  t.equal(window(80, 6250), 128 * KIBIBYTE)
  t.equal(window(200, 125_000), 512 * KIBIBYTE)
  t.equal(window(20, 125), 0, 'a modem')
  t.equal(allowance(undefined, 64 * KIBIBYTE).windowBytes, 0)
  t.end()
})

t.test(
  'a server that is near, or busy with others, is asked for little that may be for nothing',
  (t) => {
    const share = (roundTripMs: number, recentRoundTripMs: number) =>
      allowance({ roundTripMs, recentRoundTripMs, bytesPerMs: 10_000 }, BLOCK).wasteShare
    t.ok(share(20, 25) > 1)
    t.equal(share(2, 2), 0.1)
    t.equal(share(20, 70), 0.1)
    t.end()
  },
)

t.test('near by, windows are what a request brings along while that takes no longer', (t) => {
  const near = (roundTripMs: number, bytesPerMs: number) => {
    const recentRoundTripMs = roundTripMs
    return allowance({ roundTripMs, recentRoundTripMs, bytesPerMs }, 64 * KIBIBYTE)
  }
  t.equal(near(2, 125_000).windowBytes, 0)
  t.equal(near(2, 125_000).demandBytes, 128 * KIBIBYTE)
  t.equal(near(0.3, 125_000).demandBytes, 32 * KIBIBYTE, 'the next room: a single block')
  t.equal(near(20, 25_000).demandBytes, 0, 'far away')
  t.end()
})

/** What is on the way is a window of two blocks. */
const NEAR = { roundTripMs: 4, recentRoundTripMs: 4, bytesPerMs: 2 * KIBIBYTE }

t.test(
  'near by, a read is one request with the rest of its window, and nothing else',
  async (t) => {
    const source = new FaultySource(content)
    const cache = new BlockCache(source, { ...options, speed: () => NEAR })
    await cache.read(new Uint8Array(10), 21 * BLOCK)
    await settled()
    t.strictSame(source.reads, [{ offset: 20 * BLOCK, length: 2 * BLOCK }])
    t.equal(cache.counters.speculativeBytes, BLOCK)
    await cache.read(new Uint8Array(10), 20 * BLOCK)
    t.equal(source.reads.length, 1, 'it is here already')
  },
)

t.test('near by, a reader who never wants what came along gets single blocks soon', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, { ...options, speed: () => NEAR })
  for (let block = 0; block < 128; block += 2)
    await cache.read(new Uint8Array(BLOCK), block * BLOCK)
  const single = source.reads.filter(({ length }) => length === BLOCK)
  t.ok(single.length > 24, `${single.length} of 64`)
})

t.test('what was asked for goes first, then what lies around it', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, options)
  await cache.read(new Uint8Array(10), 21 * BLOCK)
  t.strictSame(source.reads[0], { offset: 21 * BLOCK, length: BLOCK })
  await settled()
  const [, second, third] = source.reads
  t.strictSame(second, { offset: 20 * BLOCK, length: BLOCK }, 'the rest of its window, in front')
  t.strictSame(third, { offset: 22 * BLOCK, length: 2 * BLOCK }, 'and behind')
})

t.test('a read never waits for what nobody asked for', async (t) => {
  const gate = Promise.withResolvers<void>()
  const wanted = new Set([0, 100 * BLOCK])
  const source = new FaultySource(content, () =>
    wanted.has(source.reads.at(-1)!.offset) ? undefined : gate.promise,
  )
  const cache = new BlockCache(source, options)
  await cache.read(new Uint8Array(10), 0)
  await settled()
  t.ok(source.reads.length > 1, 'something is under way that does not come')
  await cache.read(new Uint8Array(10), 100 * BLOCK)
  const asked = source.reads.findLastIndex(({ offset }) => offset === 100 * BLOCK)
  t.ok(asked > 0, 'and the next read was sent all the same')
  gate.resolve()
  await settled()
})

t.test('no more is under way than the link holds', async (t) => {
  let underway = 0
  const source = new FaultySource(content, async () => {
    const { length } = source.reads.at(-1)!
    underway += length
    t.ok(underway <= 2 * FAR.roundTripMs * FAR.bytesPerMs + BLOCK)
    await settled()
    underway -= length
  })
  const cache = new BlockCache(source, options)
  for (let block = 0; block < 128; block += 3) await cache.read(new Uint8Array(10), block * BLOCK)
  t.ok(cache.counters.speculativeBytes > 0)
})

t.test('a hint is fetched when there is time, and then not again', async (t) => {
  const source = new FaultySource(content)
  const cache = new BlockCache(source, { ...options, speed: () => undefined })
  cache.prefetch(40 * BLOCK + 7, 3 * BLOCK)
  await settled()
  t.strictSame(source.reads, [{ offset: 40 * BLOCK, length: 4 * BLOCK }])
  const target = new Uint8Array(3 * BLOCK)
  await cache.read(target, 40 * BLOCK + 7)
  t.strictSame(target, content.subarray(40 * BLOCK + 7, 43 * BLOCK + 7))
  t.equal(source.reads.length, 1)
})

t.test(
  'speculation that fails is forgotten, harms nobody, and is not repeated for ever',
  async (t) => {
    const source = new FaultySource(content, (read) => {
      if (read > 1) throw new SourceUnavailable('away')
    })
    const cache = new BlockCache(source, options)
    await cache.read(new Uint8Array(10), 0)
    for (let turn = 0; turn < 10; turn++) await settled()
    t.ok(source.reads.length < 6)
    const failing = async () => cache.read(new Uint8Array(10), BLOCK)
    await t.rejects(failing, SourceUnavailable)
  },
)

const reads = fc.array(
  fc
    .integer({ min: 0, max: content.length - 1 })
    .chain((offset) =>
      fc.tuple(
        fc.constant(offset),
        fc.integer({ min: 1, max: Math.min(8 * BLOCK, content.length - offset) }),
      ),
    ),
  { maxLength: 40 },
)
/** Some one after the other, some at once; some hinted at before. */
const batches = fc.array(fc.record({ reads, hinted: fc.boolean() }), { maxLength: 5 })
const limits = fc.constantFrom(1, BLOCK, 9 * BLOCK, 40 * BLOCK, content.length + BLOCK)
const speeds = fc.option(
  fc.record({
    roundTripMs: fc.double({ min: 0.1, max: 300, noNaN: true }),
    recentRoundTripMs: fc.double({ min: 0.1, max: 3000, noNaN: true }),
    bytesPerMs: fc.double({ min: 1, max: 100_000, noNaN: true }),
  }),
  { nil: undefined },
)

t.test('any reads over any link with any limit get the right bytes within the limit', () =>
  fc.assert(
    fc.asyncProperty(batches, limits, speeds, async (batches, limitBytes, speed) => {
      const source = new FaultySource(content, settled)
      const cache = new BlockCache(source, { ...options, limitBytes, speed: () => speed })
      for (const { reads, hinted } of batches) {
        if (hinted) for (const [offset, length] of reads) cache.prefetch(offset, length)
        const answers = reads.map(async ([offset, length]) => {
          const target = new Uint8Array(length)
          await cache.read(target, offset)
          return Buffer.compare(target, content.subarray(offset, offset + length)) === 0
        })
        if (!(await Promise.all(answers)).every(Boolean)) return false
        if (cache.counters.heldBytes > Math.max(limitBytes, BLOCK)) return false
      }
      return true
    }),
    { numRuns: 100 },
  ),
)

t.test(
  'what is held is never fetched again, and what is fetched for nothing stays within its share',
  () =>
    fc.assert(
      fc.asyncProperty(reads, speeds, async (reads, speed) => {
        const source = new FaultySource(content)
        const cache = new BlockCache(source, { ...options, speed: () => speed })
        for (const [offset, length] of reads) await cache.read(new Uint8Array(length), offset)
        await settled()
        const blocks = source.reads.flatMap(({ offset, length }) =>
          Array.from({ length: Math.ceil(length / BLOCK) }, (_, index) => offset / BLOCK + index),
        )
        if (new Set(blocks).size < blocks.length) return false
        const wanted = new Set(
          reads.flatMap(([offset, length]) => {
            const first = Math.floor(offset / BLOCK)
            const end = Math.ceil((offset + length) / BLOCK)
            return Array.from({ length: end - first }, (_, index) => first + index)
          }),
        )
        const wasted = blocks.filter((block) => !wanted.has(block)).length * BLOCK
        const { wasteShare, demandWasteShare } = allowance(speed, BLOCK)
        const share = Math.max(wasteShare, demandWasteShare)
        const read = cache.counters.readBytes + reads.length * BLOCK
        return wasted <= share * read + content.length / 8 + BLOCK
      }),
      { numRuns: 200 },
    ),
)
