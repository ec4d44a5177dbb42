import t from 'tap'
import { Align } from '../../src/block/align.ts'
import { Overlay, SECTOR } from '../../src/block/overlay.ts'
import type { BlockDevice, Extent } from '../../src/block/source.ts'
import {
  Chunk,
  Command,
  CommandFlag,
  DataChunk,
  ErrorValue,
  ExtendedRequestHeader,
  HoleChunk,
} from '../../src/nbd/protocol.ts'
import { MemoryDevice } from '../../src/block/memory.ts'
import { Quota } from '../../src/block/quota.ts'
import type { Export } from '../../src/nbd/export.ts'
import { contextsSelected } from '../../src/nbd/meta-context.ts'
import { Request, errorOf } from '../../src/nbd/request.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'
import { type Answer, NbdClient, type Wish, requestBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

const SIZE = 1 << 20
const content = patterned(SIZE)
const HEADERS = ['simple', 'structured', 'extended'] as const
const { invalid, perm, noSpace, overflow, notSupported, none, io } = ErrorValue

const readOnly = (): Export => ({ access: 'read-only', source: deviceOf(content) })
const overlaid = (store = new MemoryDevice(SIZE)): Export => ({
  access: 'read-write',
  source: new Align(new Overlay(deviceOf(content), store), SECTOR),
})

for (const headers of HEADERS) {
  t.test(`${headers}: requests that make no sense get the error of the protocol`, async (t) => {
    const { path } = await serving(t, readOnly())
    using client = await NbdClient.ready(path, headers)
    const error = async (wish: Wish) => (await client.request({ cookie: 9n, ...wish })).error
    const { read } = Command
    const large = headers === 'simple' ? invalid : overflow
    t.equal(await error({ type: 99, length: 1 }), invalid, 'unknown command')
    t.equal(await error({ type: read }), invalid, 'nothing to read')
    t.equal(await error({ type: read, offset: 2 ** 63, length: 1 }), invalid, 'beyond 2^53')
    t.equal(await error({ type: read, offset: SIZE, length: 1 }), invalid, 'beyond the end')
    t.equal(await error({ type: read, length: 0xffff_ffff }), invalid, 'longer than the export')
    t.equal(await error({ type: read, flags: 0x8000, length: 1 }), invalid, 'unknown flag')
    t.equal(await error({ type: read, flags: CommandFlag.noHole, length: 1 }), invalid)
    t.equal(await error({ type: Command.flush, length: 1 }), invalid, 'a flush of a range')
    t.equal(await error({ type: Command.trim, length: 512 }), perm)
    t.equal(await error({ type: Command.writeZeroes, length: 512 }), perm)
    const payload = Buffer.alloc(70_000)
    t.equal(await error({ type: Command.write, payload }), perm)
    t.equal(await error({ type: Command.write }), perm, 'empty')
    const { bytes } = await client.request({ type: read, offset: 5, length: 10 })
    t.ok(bytes.equals(content.subarray(5, 15)), 'the payload was drained')
    const sparse = { access: 'read-only', source: new MemoryDevice(2 ** 40) } as const
    const { path: huge } = await serving(t, sparse)
    using other = await NbdClient.ready(huge, headers)
    t.equal((await other.request({ type: read, length: (64 << 20) + 1 })).error, large)
  })

  t.test(`${headers}: changes at any byte, beyond the end, and with every flag`, async (t) => {
    const { path } = await serving(t, overlaid())
    using client = await NbdClient.ready(path, headers)
    const ask = (wish: Wish) => client.request(wish)
    const model = Buffer.from(content)
    const { fua, noHole, fastZero } = CommandFlag
    const { write, writeZeroes, trim, flush } = Command
    t.match(await ask({ type: write, offset: 3, payload: Buffer.from('abc'), flags: fua }), {
      error: none,
      cookie: 7n,
    })
    model.set(Buffer.from('abc'), 3)
    const zeroes = { type: writeZeroes, length: 70_000 }
    t.match(await ask({ ...zeroes, offset: 1001, flags: fastZero }), { error: none })
    model.fill(0, 1001, 71_001)
    t.match(await ask({ ...zeroes, offset: 200_001, flags: noHole | fua }), { error: none })
    model.fill(0, 200_001, 270_001)
    t.match(await ask({ ...zeroes, offset: 4096, flags: noHole | fastZero }), {
      error: notSupported,
    })
    t.match(await ask({ type: trim, offset: 400_000, length: 8192 }), { error: none })
    model.fill(0, 400_384, 408_064)
    t.match(await ask({ type: flush }), { error: none })
    const payload = Buffer.alloc(2)
    t.match(await ask({ type: write, offset: SIZE - 1, payload }), { error: noSpace })
    t.match(await ask({ ...zeroes, offset: SIZE - 1 }), { error: noSpace })
    t.match(await ask({ type: trim, offset: SIZE - 1, length: 2 }), { error: invalid })
    const { bytes } = await ask({ type: Command.read, length: SIZE })
    t.ok(bytes.equals(model))
  })

  t.test(`${headers}: a full overlay is no space, and a failing source an I/O error`, async (t) => {
    const { path } = await serving(t, overlaid(new MemoryDevice(SIZE, new Quota(4096))))
    using client = await NbdClient.ready(path, headers)
    const write = { type: Command.write, payload: Buffer.alloc(8192) }
    t.match(await client.request(write), { error: noSpace })
    t.match(await client.request({ type: Command.writeZeroes, length: 8192 }), { error: none })
    const holes = { type: Command.writeZeroes, length: 8192, flags: CommandFlag.noHole }
    t.match(await client.request(holes), { error: noSpace }, 'it takes space')
  })
}

t.test('zeroes without holes take space, others give it back', async (t) => {
  const quota = new Quota(SIZE)
  const { path } = await serving(t, overlaid(new MemoryDevice(SIZE, quota)))
  using client = await NbdClient.ready(path)
  const zeroes = { type: Command.writeZeroes, length: 65_536 }
  await client.request({ ...zeroes, flags: CommandFlag.noHole })
  t.equal(quota.usedBytes, 65_536)
  await client.request(zeroes)
  t.equal(quota.usedBytes, 0)
})

/** What the chunks of an answer to a read are: `data 512` or `hole 512`. */
function shape({ chunks }: Answer): string[] {
  return chunks.map(({ type, payload }) =>
    type === Chunk.offsetHole
      ? `hole ${HoleChunk.decode(payload).length}`
      : `data ${payload.length - DataChunk.size}`,
  )
}

t.test('holes are told and not sent, unless the reply must be one piece', async (t) => {
  const device = new MemoryDevice(65_536)
  await device.write(patterned(4096), 8192)
  await device.write(patterned(4096), 16_384)
  await device.write(new Uint8Array(4096), 20_480)
  for (const headers of ['structured', 'extended'] as const) {
    const { path } = await serving(t, { access: 'read-only', source: device })
    using client = await NbdClient.ready(path, headers)
    const read = (offset: number, length: number, flags = 0) =>
      client.request({ type: Command.read, offset, length, flags })
    const model = Buffer.alloc(65_536)
    await device.read(model, 0)
    const whole = await read(0, 65_536)
    const expected = ['hole 8192', 'data 4096', 'hole 4096', 'data 8192', 'hole 40960']
    t.strictSame(shape(whole), expected, 'zeroes that are held are data')
    t.ok(whole.bytes.equals(model))
    t.strictSame(shape(await read(7000, 2000)), ['hole 1192', 'data 808'])
    t.strictSame(shape(await read(8000, 1000)), ['data 1000'], 'not for less than a sector')
    t.strictSame(shape(await read(0, 4096)), ['hole 4096'])
    const one = await read(0, 65_536, CommandFlag.df)
    t.strictSame(shape(one), ['data 65536'])
    t.ok(one.bytes.equals(model))
  }
})

t.test('a hole within a page is told to those who read less than a page', async (t) => {
  const bytes = patterned(8192)
  bytes.fill(0, 2048, 2560)
  const source = Object.assign(new FaultySource(bytes), {
    extent: async (offset: number, length: number): Promise<Extent> => {
      const [kind, end] =
        offset < 2048
          ? (['data', 2048] as const)
          : offset < 2560
            ? (['zero', 2560] as const)
            : (['data', 8192] as const)
      return { kind, length: Math.min(length, end - offset), depth: 1 }
    },
  })
  const { path } = await serving(t, { access: 'read-only', source })
  using client = await NbdClient.ready(path, 'structured')
  const read = (offset: number, length: number) =>
    client.request({ type: Command.read, offset, length })
  const part = await read(2048, 1024)
  t.strictSame(shape(part), ['hole 512', 'data 512'])
  t.ok(part.bytes.equals(bytes.subarray(2048, 3072)))
  t.strictSame(shape(await read(0, 8192)), ['data 8192'], 'no piece is that small in a large read')
})

/** The descriptors of one context: pairs of length and status. */
function descriptors({ chunks }: Answer, context: number): number[][] {
  const chunk = chunks.find(({ payload }) => payload.readUInt32BE() === context)
  const { payload } = chunk!
  const list: number[][] = []
  if (chunk!.type === Chunk.blockStatus) {
    for (let at = 4; at < payload.length; at += 8)
      list.push([payload.readUInt32BE(at), payload.readUInt32BE(at + 4)])
  } else {
    for (let at = 8; at < payload.length; at += 16)
      list.push([Number(payload.readBigUInt64BE(at)), Number(payload.readBigUInt64BE(at + 8))])
    t.equal(payload.readUInt32BE(4), list.length)
  }
  return list
}

t.test('block status: contexts side by side, neighbours joined, one if one is asked', async (t) => {
  const served = overlaid()
  if (served.access !== 'read-write') return
  await served.source.write(new Uint8Array(4096), 4096)
  await served.source.zero(8192, 4096)
  for (const headers of ['structured', 'extended'] as const) {
    const { path } = await serving(t, served)
    using client = await NbdClient.ready(path, headers)
    const ask = (wish: Partial<Wish>) => client.request({ type: Command.blockStatus, ...wish })
    const all = await ask({ length: SIZE })
    t.strictSame(descriptors(all, 1), [
      [8192, 0],
      [4096, 3],
      [SIZE - 12_288, 0],
    ])
    t.strictSame(descriptors(all, 2), [
      [4096, 2],
      [8192, 1],
      [SIZE - 12_288, 2],
    ])
    const one = await ask({ offset: 100, length: 16_384, flags: CommandFlag.reqOne })
    t.strictSame(descriptors(one, 1), [[8092, 0]])
    t.strictSame(descriptors(one, 2), [[3996, 2]])
    t.match(await ask({ offset: SIZE, length: 1 }), { error: invalid })
    t.match(await ask({ length: SIZE + 1 }), { error: invalid })
    t.match(await ask({ length: 0 }), { error: invalid })
  }
})

t.test('block status: the payload of an extended request names the contexts', async (t) => {
  const { path } = await serving(t, readOnly())
  using client = await NbdClient.ready(path, 'extended')
  const ask = (length: number, ...ids: number[]) => {
    const payload = Buffer.alloc(8 + 4 * ids.length)
    payload.writeBigUInt64BE(BigInt(length))
    for (const [index, id] of ids.entries()) payload.writeUInt32BE(id, 8 + 4 * index)
    return client.request({ type: Command.blockStatus, payload })
  }
  const answer = await ask(SIZE, 2)
  t.equal(answer.chunks.length, 1)
  t.strictSame(descriptors(answer, 2), [[SIZE, 1]])
  t.equal((await ask(SIZE, 2, 1)).chunks.length, 2)
  t.match(await ask(SIZE), { error: invalid }, 'none')
  t.match(await ask(SIZE, 1, 1), { error: invalid }, 'twice')
  t.match(await ask(SIZE, 1, 3), { error: invalid }, 'unknown')
  t.match(await ask(SIZE + 1, 1), { error: invalid }, 'beyond the end')
  t.match(await ask(0, 1), { error: invalid }, 'nothing')
  const short = { type: Command.blockStatus, payload: Buffer.alloc(3) }
  t.match(await client.request(short), { error: invalid }, 'half a length')
})

t.test('a fragmented image is described in bounded replies, from metadata alone', async (t) => {
  // Every other 512 bytes is a hole: more descriptors than one reply has.
  const size = 2 ** 30
  let extents = 0
  const source = new FaultySource(new Uint8Array(0))
  const striped = Object.create(source, {
    size: { value: size },
    extent: {
      value: async (offset: number, length: number) => {
        extents++
        const kind = Math.floor(offset / 512) % 2 === 0 ? 'hole' : 'data'
        return { kind, length: Math.min(length, 512 - (offset % 512)), depth: 1 }
      },
    },
  })
  const { path } = await serving(t, { access: 'read-only', source: striped })
  using client = await NbdClient.ready(path, 'extended')
  const answer = await client.request({ type: Command.blockStatus, length: size })
  const list = descriptors(answer, 1)
  t.equal(list.length, 1 << 14)
  t.strictSame(list[0], [512, 3])
  t.ok(extents <= 1 << 16, 'only so many extents are looked at')
  t.strictSame(descriptors(answer, 2), [[extents * 512, 1]])
  t.equal(source.reads.length, 0, 'nothing was read')
})

t.test('a change of 64-bit length leaves others their turn', async (t) => {
  const size = 2 ** 50
  const slices: number[] = []
  const change = async (_offset: number, length: number) => void slices.push(length)
  const device = deviceOf(content)
  const vast: BlockDevice = {
    size,
    read: (target, offset) => device.read(target, offset),
    write: (bytes, offset) => device.write(bytes, offset),
    extent: async (_offset, length) => ({ kind: 'hole', length, depth: 0 }),
    zero: change,
    discard: change,
    flush: () => device.flush(),
    [Symbol.asyncDispose]: async () => {},
  }
  const { path } = await serving(t, { access: 'read-write', source: vast })
  using client = await NbdClient.ready(path, 'extended')
  using other = await NbdClient.ready(path)
  client.send({ type: Command.writeZeroes, length: size, flags: CommandFlag.fastZero })
  t.match(await other.request({ type: Command.read, length: 512 }), { error: none })
  t.ok(slices.length < size / (64 << 20), 'the others were answered before it was done')
  client.socket.destroy()
  await client.closed()
})

t.test('CACHE reads what is data, and sends nothing', async (t) => {
  const source = new FaultySource(patterned(3 << 20))
  const { path } = await serving(t, { access: 'read-only', source })
  using client = await NbdClient.ready(path)
  t.match(await client.request({ type: Command.cache, offset: 512, length: 2 << 20 }), {
    error: none,
  })
  t.strictSame(source.reads, [
    { offset: 512, length: (1 << 20) - 512 },
    { offset: 1 << 20, length: 1 << 20 },
    { offset: 2 << 20, length: 512 },
  ])
})

t.test('extended requests announce their payload, and no more than they may', async (t) => {
  const { path } = await serving(t, overlaid())
  using client = await NbdClient.ready(path, 'extended')
  const bare = { type: Command.write, offset: 512, length: 512 }
  client.send(bare)
  client.socket.write(Buffer.alloc(512, 7))
  t.match(await client.answer(), { error: none }, "a write of QEMU's client, without the flag")
  const { bytes } = await client.request({ type: Command.read, offset: 1023, length: 2 })
  t.ok(bytes.equals(Buffer.from([7, content[1024]!])))
  const payload = Buffer.alloc(100_000)
  t.match(await client.request({ type: Command.read, payload }), { error: invalid })
  t.match(await client.request({ type: Command.flush, payload }), { error: invalid })
  t.match(await client.request({ type: Command.read, length: 4 }), { error: none }, 'drained')
  const header = requestBytes({ ...bare, flags: CommandFlag.payloadLength }, 'extended')
  header.writeBigUInt64BE(2n ** 40n, ExtendedRequestHeader.at.length)
  client.socket.write(header)
  t.ok(await client.closed(), 'a terabyte of payload')
})

t.test('a failing source is an I/O error for the one who asked, and is reported', async (t) => {
  const source = new FaultySource(content, () => {
    throw new Error('broken')
  })
  const reported: unknown[] = []
  const report = t.intercept(t, 'fail', { value: (error: unknown) => reported.push(error) })
  const { path } = await serving(t, { access: 'read-only', source })
  using client = await NbdClient.ready(path, 'structured')
  t.match(await client.request({ type: Command.read, length: 512 }), { error: io })
  report.restore()
  t.strictSame(reported, ['Error: broken'])
})

t.test('a status request has no room for more than the ids of its contexts', async (t) => {
  const contexts = contextsSelected(['base:allocation', 'qemu:allocation-depth'])
  const session = { served: readOnly(), headers: 'extended', contexts } as const
  const error = (payload: number) =>
    errorOf(
      new Request(CommandFlag.payloadLength, Command.blockStatus, 0, 0, 0, 0, payload),
      session,
    )
  for (const payload of [12, 16]) t.equal(error(payload), none)
  // What is refused is drained, and never held.
  for (const payload of [0, 8, 13, 20, 64 << 20]) t.equal(error(payload), invalid)
})
