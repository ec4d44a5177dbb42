import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FileSource, type ReadCached } from '../../src/block/file.ts'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { readCached } from '../../src/kernel/ffi.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'

const content = patterned(8000)

const path = join(mkdtempSync(join(t.testdir(), 'file-')), 'image')
writeFileSync(path, content)
conforms(t, 'file', content, () => FileSource.open(path))
conforms(t, 'file in the page cache', content, () => FileSource.open(path, readCached))

t.test('what the page cache holds is there at once', async (t) => {
  await using source = await FileSource.open(path, readCached)
  const target = new Uint8Array(3000)
  await source.read(target, 1000)
  t.equal(source.read(target, 4567), undefined)
  t.strictSame(target, content.subarray(4567, 7567))
})

t.test('what the page cache holds a part of is read to its end', async (t) => {
  const half: ReadCached = (fd, target, offset) =>
    readCached(fd, target.subarray(0, target.length / 2), offset)
  await using source = await FileSource.open(path, half)
  const target = new Uint8Array(3000)
  await source.read(target, 0)
  const reading = source.read(target, 4000)
  t.ok(reading instanceof Promise)
  await reading
  t.strictSame(target, content.subarray(4000, 7000))
})

t.test('a file that is missing, or no file, is refused', async (t) => {
  await t.rejects(FileSource.open('/nonexistent/image'), SourceRefused)
  await t.rejects(FileSource.open('/dev/null'), SourceRefused)
})

t.test('a file that became shorter never yields zeroes', async (t) => {
  const shrinking = join(t.testdir(), 'image')
  for (const cached of [undefined, readCached]) {
    writeFileSync(shrinking, content)
    await using source = await FileSource.open(shrinking, cached)
    writeFileSync(shrinking, content.subarray(0, 1000))
    await t.rejects(async () => source.read(new Uint8Array(2000), 0), SourceUnavailable)
  }
})
