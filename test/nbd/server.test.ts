import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type Server, type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Align } from '../../src/block/align.ts'
import { Overlay, SECTOR } from '../../src/block/overlay.ts'
import { ByteReader } from '../../src/nbd/byte-reader.ts'
import type { Export } from '../../src/nbd/export.ts'
import {
  Command,
  ErrorValue,
  REQUEST_MAGIC,
  RequestHeader,
  SimpleReply,
} from '../../src/nbd/protocol.ts'
import { NbdServer } from '../../src/nbd/server.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'

const run = promisify(execFile)
const content = patterned(1 << 20)
const directory = t.testdir()

async function serving(served: Export): Promise<{ path: string; uri: string; nbd: NbdServer }> {
  const path = join(directory, `${Math.random()}.sock`)
  const server: Server = createServer({ allowHalfOpen: true })
  const offer = { served, name: '', description: '' }
  const nbd = new NbdServer(server, offer, { report: (error) => t.fail(String(error)) })
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => nbd.close())
  return { path, uri: `nbd+unix:///?socket=${path}`, nbd }
}
const readOnly = (): Export => ({ access: 'read-only', source: deviceOf(content) })
const writable = (): Export => ({
  access: 'read-write',
  source: new Align(new Overlay(deviceOf(content), deviceOf(new Uint8Array(1 << 20))), SECTOR),
})

t.test('nbdinfo, nbdcopy and qemu-img agree on what is served', async (t) => {
  const { uri } = await serving(readOnly())
  const { stdout } = await run('nbdinfo', ['--json', uri])
  const [first] = JSON.parse(stdout).exports
  t.equal(first['export-size'], content.length)
  t.equal(first.is_read_only, true)
  t.equal(first.can_multi_conn, true)
  const original = join(directory, 'original')
  writeFileSync(original, content)
  const { stdout: compared } = await run('qemu-img', [
    'compare',
    '-f',
    'raw',
    '-F',
    'raw',
    original,
    uri,
  ])
  t.match(compared, /identical/)
  const copied = join(directory, 'copied')
  await run('nbdcopy', [uri, copied])
  await run('cmp', [original, copied])
})

t.test('qemu-io writes, zeroes, discards and flushes through an overlay', async (t) => {
  const { uri } = await serving(writable())
  const commands = [
    'write -P 0x41 4k 64k',
    'write -P 0x42 5 3',
    'write -z 128k 64k',
    'discard 256k 64k',
    'flush',
    'read -P 0x42 5 3',
    'read -P 0x41 4k 64k',
    'read -P 0 128k 64k',
    'read -P 0 256k 64k',
  ]
  const { stdout } = await run('qemu-io', [
    '-f',
    'raw',
    uri,
    ...commands.flatMap((command) => ['-c', command]),
  ])
  t.notMatch(stdout, /failed|mismatch/)
})

/** A client by hand, for what no good client does. */
class Client implements Disposable {
  readonly socket: Socket
  readonly #reader: ByteReader
  constructor(path: string) {
    this.socket = connect(path)
    this.socket.on('error', () => {})
    this.#reader = new ByteReader(this.socket)
  }
  async bytes(length: number): Promise<Buffer> {
    return (await this.#reader.read(length)) ?? Buffer.alloc(0)
  }
  /** Goes to transmission the old way, by EXPORT_NAME. */
  async transmission(): Promise<void> {
    await this.bytes(18)
    this.socket.write(Buffer.from('00000003' + '49484156454f5054' + '00000001' + '00000000', 'hex'))
    await this.bytes(10)
  }
  async request(
    request: Partial<ReturnType<typeof RequestHeader.decode>>,
    payload = Buffer.alloc(0),
  ): Promise<number> {
    const header = { magic: REQUEST_MAGIC, flags: 0, type: 0, cookie: 7n, offset: 0, length: 0 }
    this.socket.write(RequestHeader.encode({ ...header, ...request }))
    this.socket.write(payload)
    const reply = await this.bytes(SimpleReply.size)
    return reply.length === 0 ? -1 : SimpleReply.decode(reply).error
  }
  async closed(): Promise<boolean> {
    if (!this.socket.destroyed) await once(this.socket.resume(), 'close')
    return true
  }
  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

t.test(
  'requests that make no sense get the error of the protocol, and the next one works',
  async (t) => {
    const { path } = await serving(readOnly())
    using client = new Client(path)
    await client.transmission()
    const { invalid, perm } = ErrorValue
    t.equal(await client.request({ type: 99 }), invalid, 'unknown command')
    t.equal(await client.request({ length: 0 }), invalid, 'nothing to read')
    t.equal(await client.request({ offset: 2 ** 63, length: 1 }), invalid, 'beyond 2^53')
    t.equal(await client.request({ offset: 1 << 20, length: 1 }), invalid, 'beyond the end')
    t.equal(await client.request({ length: 0xffffffff }), invalid, 'longer than allowed')
    t.equal(await client.request({ flags: 0x8000, length: 1 }), invalid, 'unknown flag')
    const payload = Buffer.alloc(70_000)
    t.equal(await client.request({ type: Command.write, length: 70_000 }, payload), perm)
    t.equal(await client.request({ length: 10 }), ErrorValue.none, 'the payload was drained')
    t.strictSame(await client.bytes(10), Buffer.from(content.subarray(0, 10)))
  },
)

t.test('a handshake that comes byte by byte is understood', async (t) => {
  const { path } = await serving(readOnly())
  using client = new Client(path)
  await client.bytes(18)
  client.socket.setNoDelay(true)
  const words = Buffer.from('00000003' + '49484156454f5054' + '00000002' + '00000000', 'hex')
  for (const byte of words) {
    client.socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal((await client.bytes(20)).readUInt32BE(12), 1, 'ACK')
})

t.test('a write beyond the end finds no space', async (t) => {
  const { path } = await serving(writable())
  using client = new Client(path)
  await client.transmission()
  const beyond = { type: Command.write, offset: (1 << 20) - 1, length: 2 }
  t.equal(await client.request(beyond, Buffer.alloc(2)), ErrorValue.noSpace)
})

t.test('garbage ends the connection of the one who sent it, and no other', async (t) => {
  const { path, uri } = await serving(readOnly())
  using lost = new Client(path)
  await lost.transmission()
  lost.socket.write(Buffer.alloc(28, 0xee))
  t.ok(await lost.closed())
  using rude = new Client(path)
  await rude.bytes(18)
  rude.socket.write(Buffer.from('ffffffff', 'hex'))
  t.ok(await rude.closed())
  await run('nbdinfo', ['--size', uri])
})

t.test('unknown options are refused and the negotiation goes on', async (t) => {
  const { path } = await serving(readOnly())
  using client = new Client(path)
  await client.bytes(18)
  const option = (number: string, payload = '') =>
    Buffer.from(
      `49484156454f5054${number}${(payload.length / 2).toString(16).padStart(8, '0')}${payload}`,
      'hex',
    )
  client.socket.write(Buffer.concat([Buffer.from('00000003', 'hex'), option('000000ee', 'abcd')]))
  t.equal((await client.bytes(20)).readUInt32BE(12), 0x8000_0001, 'ERR_UNSUP')
  client.socket.write(option('00000007', '00000009616263'))
  t.equal((await client.bytes(20)).readUInt32BE(12), 0x8000_0003, 'ERR_INVALID')
  client.socket.write(option('00000007', '00000001610000'))
  t.equal((await client.bytes(20)).readUInt32BE(12), 0x8000_0006, 'ERR_UNKNOWN')
  client.socket.write(option('00000002'))
  t.equal((await client.bytes(20)).readUInt32BE(12), 1, 'ACK')
  t.ok(await client.closed())
})

t.test('closing answers what is under way', async (t) => {
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const device = deviceOf(content)
  const slow = Object.assign(Object.create(device), {
    size: device.size,
    read: async (target: Uint8Array, offset: number) => {
      asked.resolve()
      await gate.promise
      await device.read(target, offset)
    },
  })
  const { path, nbd } = await serving({ access: 'read-only', source: slow })
  using client = new Client(path)
  await client.transmission()
  const answer = client.request({ length: 4 })
  await asked.promise
  const closed = nbd.close()
  gate.resolve()
  t.equal(await answer, ErrorValue.none)
  await closed
})
