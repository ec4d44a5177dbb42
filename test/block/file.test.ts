import { mkdtempSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type FileCalls, FileSource } from '../../src/block/file.ts'
import { extents } from '../../src/block/source.ts'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { holds, readCached, seek } from '../../src/kernel/ffi.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'

const content = patterned(8000)
const calls: FileCalls = { holds, readCached, seek }

const path = join(mkdtempSync(join(t.testdir(), 'file-')), 'image')
writeFileSync(path, content)
conforms(t, 'file', content, () => FileSource.open(path))
conforms(t, 'file in the page cache', content, () => FileSource.open(path, calls))

t.test('what the page cache holds is there at once', async (t) => {
  await using source = await FileSource.open(path, calls)
  const target = new Uint8Array(3000)
  await source.read(target, 1000)
  t.equal(source.read(target, 4567), undefined)
  t.strictSame(target, content.subarray(4567, 7567))
})

t.test('what the page cache holds a part of is read to its end', async (t) => {
  const half: FileCalls['readCached'] = (fd, target, offset) =>
    readCached(fd, target.subarray(0, target.length / 2), offset)
  await using source = await FileSource.open(path, { ...calls, readCached: half })
  const target = new Uint8Array(3000)
  await source.read(target, 0)
  const reading = source.read(target, 4000)
  t.ok(reading instanceof Promise)
  await reading
  t.strictSame(target, content.subarray(4000, 7000))
})

t.test('what the file system does not hold is known to be zeroes', async (t) => {
  const sparse = join(t.testdir(), 'image')
  const KIB = 1024
  writeFileSync(sparse, content)
  truncateSync(sparse, 1000 * KIB + 1)
  writeSync(openSync(sparse, 'r+'), content, 0, content.length, 512 * KIB)
  await using source = await FileSource.open(sparse, calls)
  const seen = await Array.fromAsync(extents(source), ({ kind, offset }) => `${kind} ${offset}`)
  // A block of a file system, which is never longer than 64 KiB, is held whole.
  t.match(seen, [/^data 0$/, /^zero [1-9]\d*$/, `data ${512 * KIB}`, /^zero \d+$/])
  t.equal(seen.length, 4)
  t.match(await source.extent(200 * KIB, 100), { kind: 'zero', length: 100 })
  t.match(await source.extent(512 * KIB + 100, 50), { kind: 'data', length: 50 })
  await using ignorant = await FileSource.open(sparse)
  t.match(await ignorant.extent(0, ignorant.size), { kind: 'data', length: ignorant.size })
})

t.test('a file that is missing, or no file, is refused', async (t) => {
  await t.rejects(FileSource.open('/nonexistent/image'), SourceRefused)
  await t.rejects(FileSource.open('/dev/null'), SourceRefused)
})

t.test('a file that became shorter never yields zeroes', async (t) => {
  const shrinking = join(t.testdir(), 'image')
  for (const used of [undefined, calls]) {
    writeFileSync(shrinking, content)
    await using source = await FileSource.open(shrinking, used)
    writeFileSync(shrinking, content.subarray(0, 1000))
    await t.rejects(async () => source.read(new Uint8Array(2000), 0), SourceUnavailable)
  }
})
