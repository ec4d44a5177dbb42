import t from 'tap'
import { ReadAhead } from '../../src/block/read-ahead.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'

const KIBIBYTE = 1024
const content = patterned(4096 * KIBIBYTE)
const options = { mostBytes: 1024 * KIBIBYTE }

/** A source that notes what it is warned of. */
class Warned extends FaultySource {
  readonly warnings: { offset: number; length: number }[] = []
  prefetch(offset: number, length: number): void {
    this.warnings.push({ offset, length })
  }
}

conforms(t, 'read-ahead', content, async () => new ReadAhead(new FaultySource(content), options))

t.test('who reads in sequence has what comes next announced, once, up to a limit', async (t) => {
  const source = new Warned(content)
  const ahead = new ReadAhead(source, options)
  for (let at = 0; at < content.length; at += 64 * KIBIBYTE) {
    await ahead.read(new Uint8Array(64 * KIBIBYTE), at)
    const end = source.warnings.at(-1)
    if (end) t.ok(end.offset + end.length - at <= 64 * KIBIBYTE + options.mostBytes)
  }
  let next = source.warnings[0]!.offset
  t.equal(next, 128 * KIBIBYTE)
  for (const { offset, length } of source.warnings) {
    t.equal(offset, next, 'nothing twice, nothing left out')
    next = offset + length
  }
  t.equal(next, content.length)
  t.ok(source.warnings.length < 16, 'in steps that are worth a request')
})

t.test('two readers at once are told apart', async (t) => {
  const source = new Warned(content)
  const ahead = new ReadAhead(source, options)
  for (let at = 0; at < 512 * KIBIBYTE; at += 64 * KIBIBYTE)
    for (const start of [0, 2048 * KIBIBYTE])
      await ahead.read(new Uint8Array(64 * KIBIBYTE), start + at)
  t.ok(source.warnings.some(({ offset }) => offset < 2048 * KIBIBYTE))
  t.ok(source.warnings.some(({ offset }) => offset > 2048 * KIBIBYTE))
})

t.test('who jumps about is left alone', async (t) => {
  const source = new Warned(content)
  const ahead = new ReadAhead(source, options)
  for (let index = 0; index < 64; index++)
    await ahead.read(new Uint8Array(16 * KIBIBYTE), ((index * 37) % 64) * 64 * KIBIBYTE)
  t.strictSame(source.warnings, [])
})
