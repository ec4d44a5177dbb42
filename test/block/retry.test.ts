import t from 'tap'
import { Patience, RetrySource, retrying } from '../../src/block/retry.ts'
import { ImageInvalid, SourceChanged, SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'

const content = patterned(4096)

conforms(t, 'retry', content, async () => {
  const patience = new Patience(Infinity, () => {})
  return new RetrySource(new FaultySource(content), patience)
})

t.test('a source in use is waited for whatever it says', async (t) => {
  const failures = [
    new SourceUnavailable('away'),
    new SourceRefused('gone'),
    new SourceChanged('another version'),
  ]
  const lines: string[] = []
  const patience = new Patience(0, (line) => lines.push(line))
  patience.useBegins()
  const source = new FaultySource(content, (read) => {
    const failure = failures[read - 1]
    if (failure !== undefined) throw failure
  })
  const target = new Uint8Array(content.length)
  await new RetrySource(source, patience).read(target, 0)
  t.strictSame(target, content)
  t.match(lines, [/waiting for the source .* away/, /answers again/])
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
    await t.rejects(retrying(attempt, patience), SourceUnavailable)
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
      await t.rejects(retrying(refuse, patience), failure.constructor)
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
