import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FileSource } from '../../src/block/file.ts'
import { Pad } from '../../src/block/pad.ts'
import { Slice } from '../../src/block/slice.ts'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { deviceOf } from '../fixtures/device.ts'

const content = patterned(8000)

conforms(
  t,
  'slice',
  content.subarray(700, 5000),
  async () => new Slice(deviceOf(content), 700, 4300),
)

const padded = new Uint8Array(8192)
padded.set(content)
conforms(t, 'pad', padded, async () => new Pad(deviceOf(content), 4096))

const path = join(mkdtempSync(join(t.testdir(), 'file-')), 'image')
writeFileSync(path, content)
conforms(t, 'file', content, () => FileSource.open(path))

t.test('a file that is missing, or no file, is refused', async (t) => {
  await t.rejects(FileSource.open('/nonexistent/image'), SourceRefused)
  await t.rejects(FileSource.open('/dev/null'), SourceRefused)
})

t.test('a file that became shorter never yields zeroes', async (t) => {
  const shrinking = join(t.testdir(), 'image')
  writeFileSync(shrinking, content)
  await using source = await FileSource.open(shrinking)
  writeFileSync(shrinking, content.subarray(0, 1000))
  await t.rejects(source.read(new Uint8Array(2000), 0), SourceUnavailable)
})
