import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { MemoryDevice } from '../../src/block/memory.ts'
import { socketCalls, socketPair } from '../../src/kernel/ffi.ts'
import { UNBOUNDED } from '../../src/nbd/allowance.ts'
import { plainSession } from '../../src/nbd/export.ts'
import { LendingSocket } from '../../src/nbd/lending-socket.ts'
import { Command } from '../../src/nbd/protocol.ts'
import { type Parting, transmit } from '../../src/nbd/transmission.ts'
import { type Wish, requestBytes } from '../fixtures/nbd-client.ts'

/** What is still under way when the connection of a client ends, as that of the kernel may. */

const BYTES = 4096

/** Reads and writes as long as it is told to. */
class Hesitant extends MemoryDevice {
  readonly asked = Promise.withResolvers<void>()
  readonly go = Promise.withResolvers<void>()

  override async read(target: Uint8Array, offset: number): Promise<void> {
    this.asked.resolve()
    await this.go.promise
    await super.read(target, offset)
  }

  override async write(data: Uint8Array, offset: number): Promise<void> {
    this.asked.resolve()
    await this.go.promise
    await super.write(data, offset)
  }
}

const read: Wish = { type: Command.read, length: BYTES }
const write: Wish = { type: Command.write, payload: Buffer.alloc(BYTES, 7) }

/** Sends a request, closes the connection, and says what became of it by the time `look` is over. */
async function parted(wish: Wish, leavesReads: boolean): Promise<string[]> {
  const said: string[] = []
  const device = new Hesitant(BYTES)
  const [ours, theirs] = socketPair()
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  socket.once('end', () => socket.destroy())
  const over = transmit(socket, plainSession({ access: 'read-write', source: device }), {
    bounds: UNBOUNDED,
    leavesReads,
    report: (error) => said.push(String(error)),
  }).then((parting: Parting) => said.push(parting))
  const client = new Socket({ fd: theirs })
  client.write(requestBytes(wish, 'simple'))
  await device.asked.promise
  client.destroy()
  await once(socket, 'close')
  await nextTurn()
  said.push('closed')
  device.go.resolve()
  await over
  await nextTurn()
  return said
}

t.test('reads are left, where that is wanted', async (t) => {
  t.strictSame(await parted(read, true), ['vanished', 'closed'])
  t.strictSame(await parted(read, false), ['closed', 'vanished'])
})

t.test('writes are waited for, because the next client may write the same', async (t) => {
  t.strictSame(await parted(write, true), ['closed', 'vanished'])
})
