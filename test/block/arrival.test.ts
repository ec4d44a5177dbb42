import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { BlockCache } from '../../src/block/cache.ts'
import type { BlockSource, Came, Extent } from '../../src/block/source.ts'
import { SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { rangesOf, yields } from '../fixtures/ranges.ts'

/** A block that is on its way is read as far as it has come. */

const BLOCK = 512
const content = patterned(20 * BLOCK - 100)
const options = {
  limitBytes: 8 * BLOCK,
  blockBytes: BLOCK,
  fetchBytes: 4 * BLOCK,
  speculativeReads: 0,
}
const GARBAGE = 0xee

/** Brings what is read in pieces of these sizes, in turn; with a negative one it begins anew. */
class PiecemealSource implements BlockSource {
  readonly size = content.length
  readonly #pieces: readonly number[]
  #turn = 0

  constructor(pieces: readonly number[]) {
    this.#pieces = pieces
  }

  async read(target: Uint8Array, offset: number, came?: Came): Promise<void> {
    target.fill(GARBAGE)
    for (let at = 0; at < target.length;) {
      await nextTurn()
      const piece = this.#pieces[this.#turn++ % this.#pieces.length]!
      const end = piece < 0 ? 0 : Math.min(target.length, at + piece)
      target.set(content.subarray(offset + at, offset + end), at)
      at = end
      came?.(at)
    }
  }
  async extent(_offset: number, length: number): Promise<Extent> {
    return { kind: 'data', length, depth: 1 }
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

t.test('reads of any order are right, however what they want comes', async () => {
  const pieces = fc
    .array(fc.integer({ min: -1, max: 3 * BLOCK }), { minLength: 1, maxLength: 8 })
    // One that brings it to an end, whatever the others are.
    .map((list) => [...list.map((piece) => (piece === 0 ? 1 : piece)), 4 * BLOCK])
  await fc.assert(
    fc.asyncProperty(rangesOf(content.length), pieces, async (ranges, sizes) => {
      const cache = new BlockCache(new PiecemealSource(sizes), options)
      return yields(content, ranges, async (target, offset, index) => {
        for (let turn = 0; turn < index % 5; turn++) await nextTurn()
        await cache.read(target, offset)
      })
    }),
    { numRuns: 200 },
  )
})

t.test('a read waits for what it wants and for no more', async (t) => {
  let end: () => void = () => {}
  const rest = new PiecemealSource([700])
  const source = new PiecemealSource([1])
  source.read = async (target, offset, came) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    end = resolve
    target.set(content.subarray(offset, offset + 700))
    came?.(700)
    await promise
    await rest.read(target, offset)
  }
  const cache = new BlockCache(source, options)
  const all = cache.read(new Uint8Array(3 * BLOCK), 0)
  const first = new Uint8Array(600)
  await cache.read(first, 100)
  t.strictSame(first, content.subarray(100, 700), 'a part of two blocks')
  let isOver = false
  const more = Promise.resolve(cache.read(new Uint8Array(1), 700)).then(() => {
    isOver = true
  })
  await nextTurn()
  t.notOk(isOver, 'the next byte has not come')
  end()
  await Promise.all([all, more])
})

t.test('who has what they wanted is not told of a failure that follows', async (t) => {
  const source = new PiecemealSource([1])
  let reads = 0
  source.read = async (target, offset, came) => {
    if (reads++ === 0) {
      target.set(content.subarray(offset, offset + 100))
      came?.(100)
      await nextTurn()
      throw new SourceUnavailable('away')
    }
    target.set(content.subarray(offset, offset + target.length))
  }
  const cache = new BlockCache(source, options)
  const few = new Uint8Array(100)
  const [got, missed] = await Promise.allSettled([
    cache.read(few, 0),
    cache.read(new Uint8Array(200), 0),
  ])
  t.equal(got.status, 'fulfilled')
  t.strictSame(few, content.subarray(0, 100))
  t.match(missed, { status: 'rejected', reason: SourceUnavailable })
  const again = new Uint8Array(200)
  await cache.read(again, 0)
  t.strictSame(again, content.subarray(0, 200), 'and it is fetched anew')
})
