import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { BlockCache } from '../../src/block/cache.ts'
import { Patience, RetrySource } from '../../src/block/retry.ts'
import type { BlockSource } from '../../src/block/source.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { LeapingClock, PLAIN_HTTP } from '../fixtures/http-options.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

/** Any mix of faults over any pattern of reads gives the right bytes, or still waits. */

const SIZE = 400_000
const content = patterned(SIZE)
const other = patterned(SIZE, 5)
const RUNS = 20
const CACHE = {
  limitBytes: 2 ** 20,
  blockBytes: 8192,
  fetchBytes: 2 ** 16,
  speculativeReads: 2,
}
/** Silence costs real time. */
const TIMEOUTS = { connectMs: 2000, firstByteMs: 40, stallMs: 40 }

const status = (code: number, headers = {}): Fault => ({ kind: 'status', status: code, headers })
const headers = (changed: Record<string, string | undefined>): Fault => ({
  kind: 'headers',
  headers: changed,
})
const somewhere = fc.integer({ min: 0, max: 60_000 })
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constantFrom(
    status(403),
    status(404),
    status(408),
    status(410),
    status(416),
    status(429, { 'Retry-After': '20' }),
    status(500),
    status(502),
    status(503, { 'Retry-After': 'Thu, 01 Jan 2037 00:00:00 GMT' }),
    status(302, { location: '/image' }),
    status(302, { location: '/other' }),
    status(307, { location: 'ftp://elsewhere/' }),
    headers({ ETag: '"another"' }),
    headers({ ETag: undefined }),
    headers({ ETag: 'W/"weak"' }),
    headers({ 'Content-Range': undefined }),
    headers({ 'Content-Range': `bytes 0-99/${SIZE}` }),
    headers({ 'Content-Range': `bytes 0-99/${SIZE + 1}` }),
    { kind: 'ignore-range' },
    { kind: 'content', content: other },
    { kind: 'content', content: content.subarray(0, SIZE - 1) },
    { kind: 'gzip' },
    { kind: 'stall' },
    { kind: 'reset' },
    { kind: 'close' },
    { kind: 'drip', bytes: 100, everyMs: 10 },
    { kind: 'delay', delayMs: 5 },
  ),
  fc.record({ kind: fc.constant('long' as const), extraBytes: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    kind: fc.constant('shifted' as const),
    extraBytes: fc.integer({ min: 1, max: 70_000 }),
    isChunked: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('shifted' as const),
    extraBytes: fc.integer({ min: 1, max: 20_000 }),
    isChunked: fc.boolean(),
    resetAfterBytes: somewhere,
  }),
  fc.record({
    kind: fc.constantFrom('stall' as const, 'reset' as const, 'close' as const),
    afterBytes: somewhere,
    isChunked: fc.boolean(),
  }),
)
const read = fc.record({
  offset: fc.integer({ min: 0, max: SIZE - 1 }),
  length: fc.integer({ min: 1, max: 60_000 }),
  /** In turns of the event loop: what came of an answer that failed is there by then, or is not. */
  begin: fc.integer({ min: 0, max: 300 }),
})
type Read = { readonly offset: number; readonly length: number; readonly begin: number }

const near = await RangeServer.open({ '/image': content, '/other': other })
const far = await RangeServer.open({ '/image': content, '/other': other })
t.teardown(() => Promise.all([near.down(), far.down()]))

async function allRight(source: BlockSource, reads: readonly Read[]): Promise<void> {
  await Promise.all(
    reads.map(async ({ offset, length, begin }) => {
      for (let turn = 0; turn < begin; turn++) await nextTurn()
      const target = new Uint8Array(Math.min(length, SIZE - offset))
      await source.read(target, offset)
      const right = content.subarray(offset, offset + target.length)
      if (Buffer.compare(target, right) !== 0) throw new Error(`wrong bytes at ${offset}`)
    }),
  )
}

/** Below a cache, which has its readers take bytes before the end of the answer that brings them. */
async function opened(mirrors: readonly URL[]): Promise<BlockSource> {
  near.faults.length = 0
  far.faults.length = 0
  const clock = new LeapingClock()
  const options = { ...PLAIN_HTTP, timeouts: TIMEOUTS, mirrors, clock }
  const { source } = await Mirrors.open(new URL(near.url('/image')), options, () => {})
  const patience = new Patience(0, () => {}, clock)
  patience.useBegins()
  return new BlockCache(new RetrySource(source, patience), CACHE)
}

for (const [name, mirrors] of [
  ['one server', []],
  ['two servers', [new URL(far.url('/image'))]],
] as const) {
  t.test(`any faults of ${name}, any reads: the right bytes`, async (t) => {
    t.setTimeout(120_000)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 8 }),
        fc.array(fault, { maxLength: 8 }),
        fc.array(read, { minLength: 1, maxLength: 6 }),
        async (faultsNear, faultsFar, reads) => {
          await using source = await opened(mirrors)
          near.faults.push(...faultsNear)
          far.faults.push(...faultsFar)
          await allRight(source, reads)
        },
      ),
      { numRuns: RUNS },
    )
    t.pass()
  })
}

t.test('a fault that stays: no byte, no error, until it is mended', async (t) => {
  t.setTimeout(120_000)
  const lasting = fault.filter(({ kind }) => kind !== 'delay' && kind !== 'drip')
  await fc.assert(
    fc.asyncProperty(
      lasting,
      fc.array(read, { minLength: 1, maxLength: 4 }),
      async (stays, reads) => {
        // What breaks off behind the end of a read breaks nothing.
        if ('afterBytes' in stays && stays.afterBytes !== undefined)
          stays = { ...stays, afterBytes: 0 }
        await using source = await opened([])
        let asked = 0
        const mended = Promise.withResolvers<void>()
        near.onRequest = () => {
          if (++asked >= 8) mended.resolve()
          return stays
        }
        let over = false
        const reading = allRight(source, reads).finally(() => {
          over = true
        })
        await Promise.race([mended.promise, reading])
        const early = over
        near.onRequest = () => undefined
        await reading
        if (early) throw new Error(`${JSON.stringify(stays)} was no fault`)
      },
    ),
    { numRuns: RUNS },
  )
  t.pass()
})
