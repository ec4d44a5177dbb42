import t from 'tap'
import { awayMs } from '../../src/block/backoff.ts'
import type { Clock } from '../../src/block/clock.ts'
import { Patience, Persistence, RetrySource } from '../../src/block/retry.ts'
import type { Completion } from '../../src/block/source.ts'
import { ImageInvalid, SourceChanged, SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { LeapingClock } from '../fixtures/http-options.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'

const content = patterned(4096)

conforms(t, 'retry', content, async () => {
  const patience = new Patience(Infinity, () => {})
  return new RetrySource(new FaultySource(content), patience)
})

/** Time that goes by only when it is told to. */
class HeldClock implements Clock {
  #now = 0
  readonly #sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>()

  now(): number {
    return this.#now
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { untilMs: this.#now + ms, wake: resolve }
    this.#sleepers.add(sleeper)
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    return promise.finally(() => this.#sleepers.delete(sleeper))
  }
  leap(ms: number): void {
    this.#now += ms
    for (const { untilMs, wake } of this.#sleepers) if (untilMs <= this.#now) wake()
  }
}

/** Whether it is over once everything has run that runs without waiting. */
async function settledSoon(work: Completion): Promise<boolean> {
  const later = new Promise((resolve) => setImmediate(resolve, false))
  return (await Promise.race([Promise.resolve(work).then(() => true), later])) === true
}

/** A source in use, whose failures cost no time, and what the user was told. */
function inUse(before: (read: number) => void) {
  const clock = new LeapingClock()
  const lines: string[] = []
  const patience = new Patience(0, (line) => lines.push(line), clock)
  patience.useBegins()
  const base = new FaultySource(content, before)
  return { clock, lines, base, source: new RetrySource(base, patience) }
}

t.test('a source in use is waited for whatever it says', async (t) => {
  const failures = [
    new SourceUnavailable('away'),
    new SourceRefused('gone'),
    new SourceChanged('another version'),
  ]
  const { source, lines } = inUse((read) => {
    const failure = failures[read - 1]
    if (failure !== undefined) throw failure
  })
  const target = new Uint8Array(content.length)
  await source.read(target, 0)
  t.strictSame(target, content)
  t.match(lines, [/waiting for the source .* another version/, /answers again/])
})

t.test(
  'a minute without a source: who waits knocks in turn, and all are let in at once',
  async (t) => {
    const knocks: number[] = []
    let back = false
    const { source, clock, lines, base } = inUse(() => {
      if (back) return
      knocks.push(clock.now())
      throw new SourceUnavailable('away')
    })
    clock.onLeap = (now) => {
      t.equal(source.waiting?.reason, 'away')
      back = now >= 60_000
    }
    const targets = Array.from({ length: 20 }, () => new Uint8Array(10))
    await Promise.all(targets.map((target, index) => source.read(target, index * 100)))
    for (const [index, target] of targets.entries()) {
      t.strictSame(target, content.subarray(index * 100, index * 100 + 10))
    }
    t.equal(source.waiting, undefined)
    const later = knocks.filter((at) => at > 0)
    t.ok(later.length < 14, `${later.length} knocks in a minute, not 20 reads times a dozen`)
    t.ok(later[0]! <= 250, 'the first comes soon, however many have failed')
    t.strictSame(new Set(later).size, later.length, 'never two at once')
    t.ok(base.reads.length <= knocks.length + targets.length)
    const waits = lines.filter((line) => line.startsWith('waiting'))
    t.ok(waits.length >= 3 && waits.length <= 7, `${waits.length} lines in a minute`)
    t.match(lines.at(-1), /answers again after (6|7)\d s/)
  },
)

t.test('a blip is not worth a line, and a replaced file is worth one a minute', async (t) => {
  const blip = inUse((read) => {
    if (read === 1) throw new SourceUnavailable('away')
  })
  await blip.source.read(new Uint8Array(1), 0)
  t.strictSame(blip.lines, [])
  const replaced = inUse(() => {
    if (replaced.clock.now() < 600_000) throw new SourceChanged('another version')
  })
  await replaced.source.read(new Uint8Array(1), 0)
  const said = replaced.lines.filter((line) => line.startsWith('waiting')).length
  t.ok(said >= 8 && said <= 10, `${said} lines in ten minutes`)
})

t.test('a source that asked us to stay away is not asked before', async (t) => {
  const asked: number[] = []
  const { source, clock } = inUse((read) => {
    asked.push(clock.now())
    if (read <= 3) throw new SourceUnavailable('busy', { retryAfterMs: 30_000 })
  })
  const reads = [0, 1, 2].map((offset) => source.read(new Uint8Array(1), offset))
  await Promise.all(reads)
  t.strictSame(asked.slice(0, 3), [0, 0, 0])
  t.ok(asked.slice(3).every((at) => at > 30_000))
})

t.test('a long pause that the server asks for is said at once, and again and again', async (t) => {
  const { source, lines } = inUse((read) => {
    if (read === 1) throw new SourceUnavailable('busy', { retryAfterMs: 60_000 })
  })
  await source.read(new Uint8Array(1), 0)
  t.match(lines[0], /^waiting for the source \(0 s, try 1\): busy/)
  t.match(lines.at(-1), /answers again after (6\d|7[0-5]) s/)
  t.ok(lines.length === 8 || lines.length === 9, `${lines.length} lines`)
})

t.test('a thousand machines that were sent away together do not come back together', async (t) => {
  const perSecond = new Map<number, number>()
  for (let machine = 0; machine < 1000; machine++) {
    const { source, clock } = inUse((read) => {
      // Many reads are under way, as ever.
      if (read <= 8) throw new SourceUnavailable('busy', { retryAfterMs: 60_000 })
    })
    await Promise.all(Array.from({ length: 8 }, () => source.read(new Uint8Array(1), 0)))
    const second = Math.floor(clock.now() / 1000)
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
  }
  const seconds = [...perSecond.keys()].toSorted((a, b) => a - b)
  t.ok(seconds[0]! >= 60, 'none before it may')
  t.ok(seconds.at(-1)! <= 75, 'and none a quarter later than that')
  // A fifteenth in each second, or 67.
  t.ok(Math.max(...perSecond.values()) < 130, `${[...perSecond.values()].join(' ')} in a second`)
})

t.test('a short pause that the server asks for is spread over seconds, too', async (t) => {
  const returns = Array.from({ length: 1000 }, (_, place) => awayMs(1000, place / 1000))
  t.equal(returns[0], 1000)
  t.ok(returns.at(-1)! > 3900 && returns.at(-1)! < 4000)
  t.equal(awayMs(0, 0.5), 0, 'who was not asked for a pause makes none')
})

t.test('what fails while others are answered holds up nobody, and is said', async (t) => {
  const clock = new HeldClock()
  const lines: string[] = []
  const patience = new Patience(0, (line) => lines.push(line), clock)
  patience.useBegins()
  let mended = false
  let knocks = 0
  const base = new FaultySource(content, (_read, offset) => {
    if (offset < 1000 || mended) return
    knocks++
    throw new SourceUnavailable('one slice is away')
  })
  const source = new RetrySource(base, patience)
  const broken = source.read(new Uint8Array(1), 2000)
  // Nobody knows yet that others are answered.
  const other = source.read(new Uint8Array(1), 0)
  while (!(await settledSoon(other))) clock.leap(250)
  const before = clock.now()
  for (let offset = 1; offset < 100; offset++) await source.read(new Uint8Array(1), offset)
  t.equal(clock.now(), before, 'reads of the rest take no time')
  for (let leaps = 0; leaps < 100; leaps++) {
    clock.leap(1000)
    await source.read(new Uint8Array(1), 0)
  }
  t.ok(knocks < 20, `${knocks} knocks in 100 s, beside 200 answers`)
  t.ok(source.waiting && source.waiting.waitedMs >= 100_000, 'the time is not that of the others')
  const waits = lines.filter((line) => line.startsWith('waiting'))
  t.ok(waits.length >= 5 && waits.length <= 10, `${waits.length} lines`)
  mended = true
  while (!(await settledSoon(broken))) clock.leap(1000)
  t.equal(source.waiting, undefined)
})

t.test(
  'while it is opened only a source that is away is waited for, and not for long',
  async (t) => {
    const patience = new Patience(400, () => {})
    let tries = 0
    const attempt = async () => {
      tries++
      throw new SourceUnavailable('away')
    }
    await t.rejects(new Persistence(patience).run(attempt), SourceUnavailable)
    t.ok(tries > 1, 'it was tried again')
    for (const failure of [
      new SourceRefused('404'),
      new SourceChanged('new'),
      new ImageInvalid('x'),
    ]) {
      tries = 0
      const refuse = async () => {
        tries++
        throw failure
      }
      await t.rejects(new Persistence(patience).run(refuse), failure.constructor)
      t.equal(tries, 1)
    }
  },
)

t.test('a pause ends when the source is closed', async (t) => {
  const patience = new Patience(Infinity, () => {})
  const asked = Promise.withResolvers<void>()
  const source = new RetrySource(
    new FaultySource(content, () => {
      asked.resolve()
      throw new SourceUnavailable('away', { retryAfterMs: 3_600_000 })
    }),
    patience,
  )
  const read = source.read(new Uint8Array(1), 0)
  await asked.promise
  await source[Symbol.asyncDispose]()
  await t.rejects(read)
})
