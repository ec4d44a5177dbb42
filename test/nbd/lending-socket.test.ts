import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { MemoryDevice } from '../../src/block/memory.ts'
import { socketCalls, socketPair } from '../../src/kernel/ffi.ts'
import { UNBOUNDED } from '../../src/nbd/allowance.ts'
import { plainSession } from '../../src/nbd/export.ts'
import { LendingSocket } from '../../src/nbd/lending-socket.ts'
import { Command, SimpleReply } from '../../src/nbd/protocol.ts'
import { transmit } from '../../src/nbd/transmission.ts'
import { patterned } from '../fixtures/bytes.ts'
import { NbdClient, requestBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

/** Memory that is read into again must not be somebody's payload still. */

const PAYLOAD = 20_000
const WRITES = 200
const SIZE = PAYLOAD * WRITES

/** Takes what it is to write some turns later, as a disk would. */
class SlowDevice extends MemoryDevice {
  #writes = 0

  override async write(data: Uint8Array, offset: number): Promise<void> {
    const turns = this.#writes++ % 4
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    await super.write(data, offset)
  }
}

function writes(): Buffer {
  const requests = Array.from({ length: WRITES }, (_, number) =>
    requestBytes(
      {
        type: Command.write,
        offset: number * PAYLOAD,
        length: PAYLOAD,
        payload: patterned(PAYLOAD, number),
      },
      'simple',
    ),
  )
  return Buffer.concat(requests)
}

async function written(device: MemoryDevice): Promise<boolean> {
  const held = new Uint8Array(SIZE)
  await device.read(held, 0)
  return Array.from({ length: WRITES }, (_, number) => number).every((number) => {
    const at = number * PAYLOAD
    return Buffer.from(patterned(PAYLOAD, number)).equals(held.subarray(at, at + PAYLOAD))
  })
}

for (const device of [new MemoryDevice(SIZE), new SlowDevice(SIZE)]) {
  t.test(`a server's socket, and a ${device.constructor.name}`, async (t) => {
    const { path } = await serving(t, { access: 'read-write', source: device })
    using client = await NbdClient.ready(path)
    client.socket.write(writes())
    await client.bytes(WRITES * SimpleReply.size)
    t.ok(await written(device))
  })
}

t.test('a socket by its descriptor, as the kernel has it', async (t) => {
  const [ours, theirs] = socketPair()
  const device = new SlowDevice(SIZE)
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  const over = transmit(socket, plainSession({ access: 'read-write', source: device }), {
    bounds: UNBOUNDED,
    report: (error) => t.fail(String(error)),
  })
  const client = new Socket({ fd: theirs })
  let answered = 0
  client.on('data', (bytes) => {
    answered += bytes.length
    if (answered === WRITES * SimpleReply.size) client.end()
  })
  client.write(writes())
  await over
  socket.destroy()
  await once(client, 'close')
  t.ok(await written(device))
})

t.test('the kernel takes several large replies before any of them is read', async (t) => {
  const [ours, theirs] = socketPair()
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  const client = new Socket({ fd: theirs })
  const reply = new Uint8Array(2 ** 16)
  let taken = 0
  for (let length = 1; length > 0; taken += length) length = socket.sendNow(reply)
  // Twice net.core.wmem_max is the least, and some of that is not for bytes.
  t.ok(taken > 300_000, `${taken} bytes`)
  socket.destroy()
  client.destroy()
})

t.test('small pieces and large ones come in their order', async (t) => {
  const [ours, theirs] = socketPair()
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  const client = new Socket({ fd: theirs })
  const sent = patterned(1_000_000)
  const got: Buffer[] = []
  socket.consume((buffer, length) => {
    got.push(Buffer.from(buffer.subarray(0, length)))
    return false
  })
  socket.resume()
  for (let at = 0, length = 1; at < sent.length; at += length, length = (length * 7) % 50_000)
    client.write(sent.subarray(at, at + length))
  client.end()
  await once(socket, 'end')
  t.ok(Buffer.concat(got).equals(sent))
  socket.destroy()
})
