import { Socket } from 'node:net'
import t from 'tap'
import { socketCalls, socketPair } from '../../src/kernel/ffi.ts'
import { Allowance, UNBOUNDED } from '../../src/nbd/allowance.ts'
import { plainSession } from '../../src/nbd/export.ts'
import { LendingSocket } from '../../src/nbd/lending-socket.ts'
import { Command, ErrorValue } from '../../src/nbd/protocol.ts'
import { transmit } from '../../src/nbd/transmission.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'
import { NbdClient, requestBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

/** Many clients that mean no good, at once: what all of them cost is bounded, and others are served. */

const MIB = 1 << 20
const HOSTILE = 99
const BUDGET_MIB = 256
const { none } = ErrorValue
const content = patterned(MIB)
/** Almost all of a payload; all clients send the same memory. */
const MOST_OF_IT = Buffer.alloc(31 * MIB, 1)
const LARGE_WRITE = { type: Command.write, length: 32 * MIB }

const emptyDevice = () =>
  ({ access: 'read-write', source: deviceOf(new Uint8Array(32 * MIB)) }) as const

/** A client that announces 32 MiB and sends most of it. */
async function stalling(path: string): Promise<NbdClient> {
  const client = await NbdClient.ready(path)
  client.send(LARGE_WRITE)
  client.socket.write(MOST_OF_IT)
  return client
}

/** A client that asks for a megabyte many times and takes nothing. */
async function deaf(path: string, count: number): Promise<NbdClient> {
  const client = await NbdClient.ready(path)
  client.socket.pause()
  const wish = requestBytes({ type: Command.read, length: MIB }, 'simple')
  client.socket.write(Buffer.concat(Array.from({ length: count }, () => wish)))
  return client
}

/** A client that writes and reads a megabyte, as often as asked, over one connection. */
async function useful(path: string, count: number): Promise<void> {
  using client = await NbdClient.ready(path)
  for (let asked = 0; asked < count; asked++) {
    const written = await client.request({ type: Command.write, payload: content })
    const { error, bytes } = await client.request({ type: Command.read, length: MIB })
    if (written.error !== none || error !== none || !bytes.equals(content))
      throw new Error('the server does not serve')
  }
}

t.test('payloads of all clients together are bounded, and others are served', async (t) => {
  const { path } = await serving(t, emptyDevice())
  const before = process.memoryUsage.rss()
  const clients: NbdClient[] = []
  for (let count = 0; count < HOSTILE; count++) clients.push(await stalling(path))
  const taken = () => clients.filter(({ socket }) => socket.writableLength === 0).length
  while (taken() < 3) await useful(path, 1)
  await useful(path, 50)
  t.equal(taken(), 3, 'more than three times 32 MiB are never under way')
  const grown = (process.memoryUsage.rss() - before) / MIB
  t.ok(grown < BUDGET_MIB, `${grown} MiB`)
  for (const client of clients) client.socket.destroy()
})

t.test('replies that nobody takes are bounded, and others are served', async (t) => {
  const source = new FaultySource(content)
  const { path } = await serving(t, { access: 'read-only', source })
  const clients: NbdClient[] = []
  for (let count = 0; count < HOSTILE; count++) clients.push(await deaf(path, 100))
  using other = await NbdClient.ready(path)
  const READS = 500
  for (let count = 0; count < READS; count++) {
    const { bytes } = await other.request({ type: Command.read, length: MIB })
    if (!bytes.equals(content)) t.fail('wrong bytes')
  }
  const made = source.reads.length - READS
  t.ok(made >= HOSTILE, 'each has its own share')
  // Two more than fit are in the buffers of the system, which hold less than a megabyte for each.
  t.ok(made <= BUDGET_MIB + HOSTILE, `${made} MiB`)
  for (const client of clients) client.socket.destroy()
})

t.test('who stops while others wait is dismissed, and they have their turn', async (t) => {
  const { path } = await serving(t, emptyDevice(), { patienceMs: 100 })
  const hostile: NbdClient[] = []
  for (let count = 0; count < 6; count++) hostile.push(await stalling(path))
  for (let count = 0; count < 6; count++) hostile.push(await deaf(path, 40))
  using late = await NbdClient.ready(path)
  const payload = Buffer.alloc(32 * MIB, 7)
  t.equal((await late.request({ type: Command.write, payload })).error, none)
  const { bytes } = await late.request({ type: Command.read, length: 32 * MIB })
  t.ok(bytes.equals(payload))
  t.ok(hostile.some(({ socket }) => socket.destroyed))
  for (const client of hostile) client.socket.destroy()
})

t.test('who is slow and steady is not dismissed, whatever is left; who trickles is', (t) => {
  const counts = { sent: 0, taken: 0, received: 0 }
  let payload: number | undefined
  const allowance = new Allowance(
    {
      replyBytes: () => 0,
      replyBytesSent: () => counts.sent,
      replyBytesTaken: () => counts.taken,
      bytesReceived: () => counts.received,
      payload: () => payload,
      proceed: () => {},
      hangUp: () => {},
    },
    UNBOUNDED,
  )
  const after = (change: Partial<typeof counts>) => {
    Object.assign(counts, change)
    return allowance.isStuck()
  }
  t.notOk(after({}), 'nothing is due')
  payload = 1
  t.notOk(after({ received: 100 }), 'it has just begun')
  for (let received = 2 * MIB; received < 12 * MIB; received += 2 * MIB)
    t.notOk(after({ received }), 'the same payload, and it moves')
  t.ok(after({ received: 10 * MIB + 1000 }))
  payload = undefined
  t.notOk(after({ sent: 40 * MIB }))
  for (let taken = 2 * MIB; taken < 12 * MIB; taken += 2 * MIB) t.notOk(after({ taken }))
  t.ok(after({ taken: 10 * MIB + 1000 }))
  t.notOk(after({ taken: 40 * MIB }), 'all is taken')
  t.end()
})

t.test('who waits for the export itself is not dismissed', async (t) => {
  const gate = Promise.withResolvers<void>()
  const source = new FaultySource(new Uint8Array(48 * MIB), () => gate.promise)
  const device = Object.assign(emptyDevice().source, { read: source.read.bind(source) })
  const served = { access: 'read-write', source: device } as const
  const { path } = await serving(t, served, { patienceMs: 50 })
  const wish = { type: Command.read, length: 32 * MIB }
  const patient: NbdClient[] = []
  const ask = async () => {
    const client = await NbdClient.ready(path)
    client.send(wish)
    patient.push(client)
  }
  const bystander = await NbdClient.ready(path)
  const seen = () => bystander.request({ type: Command.write, payload: Buffer.from('x') })
  for (const asked of [1, 2, 3]) {
    await ask()
    while (source.reads.length < asked) await seen()
  }
  using hostile = await NbdClient.ready(path)
  hostile.socket.write(requestBytes({ type: Command.write, length: 4 * MIB }, 'simple'))
  await seen()
  await ask()
  // All who hold memory were looked at as often as the one who is dismissed for it.
  t.ok(await hostile.closed())
  gate.resolve()
  for (const client of patient) {
    t.equal((await client.answer(0, wish.length)).error, none)
    client.socket.destroy()
  }
  bystander.socket.destroy()
})

t.test('the kernel is never kept waiting, whatever it has under way', async (t) => {
  const [ours, theirs] = socketPair()
  const source = new FaultySource(content)
  const socket = LendingSocket.overDescriptor(ours, socketCalls)
  const over = transmit(socket, plainSession({ access: 'read-only', source }), {
    bounds: UNBOUNDED,
    report: (error) => t.fail(String(error)),
  })
  const kernel = new Socket({ fd: theirs })
  kernel.pause()
  const wish = requestBytes({ type: Command.read, length: MIB }, 'simple')
  const requests = BUDGET_MIB + 50
  kernel.write(Buffer.concat(Array.from({ length: requests }, () => wish)))
  while (source.reads.length < requests) await new Promise((resolve) => setImmediate(resolve))
  kernel.destroy()
  await over
  socket.destroy()
})
