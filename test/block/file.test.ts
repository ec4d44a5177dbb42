import { execFileSync } from 'node:child_process'
import { mkdtempSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type FileCalls, FileSource } from '../../src/block/file.ts'
import { extents } from '../../src/block/source.ts'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { holds, mapFile, readCached, seek, unmapFile } from '../../src/kernel/ffi.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'

const content = patterned(8000)
const calls: FileCalls = { holds, mapFile, readCached, seek, unmapFile }

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

t.test('what memory holds can be sent, unless there is a hole in it', async (t) => {
  const path = join(t.testdir(), 'image')
  const KIB = 1024
  const data = patterned(256 * KIB)
  writeFileSync(path, data)
  truncateSync(path, 1024 * KIB)
  await using source = await FileSource.open(path, calls)
  await source.read(new Uint8Array(1024 * KIB), 0)
  const piece = source.cached(100, 64 * KIB)
  // The kernel counts pages of 4 KiB, or says nothing.
  if (piece !== undefined) {
    t.equal(piece.offset, 100)
    const target = new Uint8Array(64 * KIB)
    piece.readNow(target, 100)
    t.strictSame(target, data.subarray(100, 100 + 64 * KIB))
  }
  t.equal(source.cached(200 * KIB, 64 * KIB), undefined, 'data and a hole')
  t.equal(source.cached(512 * KIB, 64 * KIB), undefined, 'a hole')
  await using ignorant = await FileSource.open(path)
  t.equal(ignorant.cached(0, 4096), undefined, 'nobody can tell')
  await using blind = await FileSource.open(path, { ...calls, seek: () => -1 })
  t.equal(blind.cached(200 * KIB, 64 * KIB) === undefined, piece === undefined)
})

t.test('what the disk is still at is not held', async (t) => {
  const path = join(t.testdir(), 'image')
  writeFileSync(path, patterned(256 * 1024))
  // dd and sync, because Node has no posix_fadvise(2): the file is on the disk and in no memory.
  execFileSync('sync', [path])
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'])
  await using source = await FileSource.open(path, calls)
  const target = new Uint8Array(64 * 1024)
  const held = readCached(openSync(path, 'r'), target, 0)
  if (held < target.length) t.equal(source.cached(0, target.length), undefined)
  else t.pass('the file system keeps everything in memory')
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
