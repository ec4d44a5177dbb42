import { execFileSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { join } from 'node:path'
import t from 'tap'
import { Align } from '../../src/block/align.ts'
import { type FileCalls, FileSource } from '../../src/block/file.ts'
import { MemoryDevice } from '../../src/block/memory.ts'
import { Overlay, SECTOR } from '../../src/block/overlay.ts'
import { SourceUnavailable } from '../../src/errors.ts'
import {
  holds,
  mapFile,
  readCached,
  seek,
  socketCalls,
  socketPair,
  unmapFile,
} from '../../src/kernel/ffi.ts'
import { openImage } from '../../src/format/registry.ts'
import { UNBOUNDED } from '../../src/nbd/allowance.ts'
import { plainSession } from '../../src/nbd/export.ts'
import { LendingSocket, type SocketCalls } from '../../src/nbd/lending-socket.ts'
import { Chunk, Command, ErrorValue, SimpleReply } from '../../src/nbd/protocol.ts'
import { transmit } from '../../src/nbd/transmission.ts'
import { patterned } from '../fixtures/bytes.ts'
import { NbdClient, requestBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

/** Large reads of what memory holds of a file leave without having been read. */

const KIB = 1024
const SIZE = 4096 * KIB
const HOLE = { offset: 1024 * KIB, length: 512 * KIB }
const calls: FileCalls = { holds, mapFile, readCached, seek, unmapFile }
const content = patterned(SIZE)
content.fill(0, HOLE.offset, HOLE.offset + HOLE.length)
const path = join(t.testdir(), 'image')
const fd = openSync(path, 'w')
ftruncateSync(fd, SIZE)
writeSync(fd, content, 0, HOLE.offset, 0)
writeSync(fd, content, HOLE.offset + HOLE.length, undefined, HOLE.offset + HOLE.length)
closeSync(fd)

/** Counts what went from the file to the socket; `most` bytes at a time. */
class Counting implements SocketCalls {
  readonly #most: number
  sentBytes = 0
  cuts = 0

  constructor(most: number) {
    this.#most = most
  }
  sendNow(to: number, bytes: Uint8Array): number {
    return socketCalls.sendNow(to, bytes)
  }
  sendFile(to: number, file: number, offset: number, length: number): number {
    const taken = socketCalls.sendFile(to, file, offset, Math.min(length, this.#most))
    this.sentBytes += taken
    if (taken < length) this.cuts++
    return taken
  }
  widen(): void {}
}

const WRITTEN = { offset: 3072 * KIB, length: KIB }

/** Large and small, at offsets of every kind; they are answered in their order. */
const READS = Array.from({ length: 96 }, (_, n) => {
  const length = [64 * KIB, 4 * KIB, 128 * KIB, 33 * KIB + 512, 256 * KIB][n % 5]!
  return { offset: (n * 167_936 + (n % 7) * 512) % (HOLE.offset - length), length }
})
/** What has a hole, or something written, in it. */
const OTHERS = [HOLE, WRITTEN].map(({ offset }) => ({
  offset: offset - 64 * KIB,
  length: 160 * KIB,
}))

for (const headers of ['simple', 'structured', 'extended'] as const) {
  for (const most of [Infinity, 20_000]) {
    t.test(`${headers}: a client that reads late, ${most} bytes at a time`, async (t) => {
      const file = await FileSource.open(path, calls)
      await file.read(new Uint8Array(SIZE), 0)
      await using source = new Align(new Overlay(file, new MemoryDevice(SIZE)), SECTOR)
      await source.write(patterned(KIB, 3), WRITTEN.offset)
      const expected = Buffer.from(content)
      expected.set(patterned(KIB, 3), WRITTEN.offset)
      const counting = new Counting(most)
      const { path: socket } = await serving(
        t,
        { access: 'read-write', source },
        { calls: counting },
      )
      using client = await NbdClient.ready(socket, headers)
      for (const read of READS) client.send({ type: Command.read, ...read })
      for (const { offset, length } of READS) {
        const { error, bytes } = await client.answer(offset, length)
        t.equal(error, 0)
        t.ok(bytes.equals(expected.subarray(offset, offset + length)), `${length} at ${offset}`)
      }
      for (const { offset, length } of OTHERS) {
        const { bytes, chunks } = await client.request({ type: Command.read, offset, length })
        t.ok(bytes.equals(expected.subarray(offset, offset + length)), `${length} at ${offset}`)
        const isCut = chunks.some(({ type }) => type === Chunk.offsetHole)
        t.equal(isCut, headers !== 'simple' && offset < HOLE.offset)
      }
      // With larger pages than 4 KiB nobody knows what memory has.
      if (source.cached(0, 64 * KIB) !== undefined) {
        t.ok(counting.sentBytes > 0, `${counting.sentBytes} bytes went from the file`)
        if (most < Infinity) t.ok(counting.cuts > 0, 'most of it only in part')
      }
    })
  }
}

t.test('a broken table costs the read that needs it, whatever its size', async (t) => {
  const directory = t.testdir()
  const broken = join(directory, 'image.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', broken, '1M'])
  execFileSync('qemu-io', ['-c', 'write 0 1M', broken])
  const image = readFileSync(broken)
  const l2 = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(40))) & 0xff_ffff_ffff_fe00n)
  // Host offset 512 of a cluster: where none may be.
  image.writeBigUInt64BE(image.readBigUInt64BE(l2) | 512n, l2)
  writeFileSync(broken, image)
  const file = await FileSource.open(broken, calls)
  await using source = await openImage(file, { format: 'qcow2' })
  const { path: socket } = await serving(t, { access: 'read-only', source }, { report: () => {} })
  using client = await NbdClient.ready(socket)
  for (const length of [64 * KIB, 4 * KIB, 64 * KIB]) {
    const { error } = await client.request({ type: Command.read, offset: 0, length })
    t.equal(error, ErrorValue.io)
  }
})

t.test('a file that lost what it had costs the connection, and no byte is wrong', async (t) => {
  const short = join(t.testdir(), 'image')
  writeFileSync(short, content.subarray(0, 128 * KIB))
  const source = await FileSource.open(short, { ...calls, holds: () => true, seek: () => Infinity })
  truncateSync(short, 96 * KIB)
  const [ours, theirs] = socketPair()
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  const failures: unknown[] = []
  const over = transmit(socket, plainSession({ access: 'read-only', source }), {
    bounds: UNBOUNDED,
    report: (error) => failures.push(error),
  })
  const client = new Socket({ fd: theirs })
  client.write(requestBytes({ type: Command.read, offset: 64 * KIB, length: 64 * KIB }, 'simple'))
  const got = await buffer(client)
  await over
  t.ok(got.subarray(SimpleReply.size).equals(content.subarray(64 * KIB, 96 * KIB)))
  t.match(failures, [SourceUnavailable])
  await source[Symbol.asyncDispose]()
})
