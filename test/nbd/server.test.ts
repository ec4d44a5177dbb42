import t from 'tap'
import {
  ClientFlags,
  Command,
  ErrorValue,
  Greeting,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  Option,
  OptionReply,
  Reply,
  RequestHeader,
} from '../../src/nbd/protocol.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'
import { FaultySource } from '../fixtures/faulty-source.ts'
import { NbdClient, goPayload, optionBytes, requestBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

/**
 * Clients that mean no good or are gone: what they cost is bounded, and nobody else notices.
 * Whether somebody does is asked by another client, as often as it takes for the first to be served
 * if it were.
 */

const MIB = 1 << 20
const content = patterned(MIB)
const { none } = ErrorValue
const readOnly = () => ({ access: 'read-only', source: deviceOf(content) }) as const
const READ = { type: Command.read, length: 512 }

/** What one client may have under way in bytes, and the buffers of the socket. */
const BOUND_MIB = 32 + 4

/** Another client, well-behaved, that asks `count` times. */
async function bystander(path: string, count: number): Promise<void> {
  using client = await NbdClient.ready(path)
  for (let asked = 0; asked < count; asked++) {
    const { bytes } = await client.request(READ)
    if (!bytes.equals(content.subarray(0, 512))) throw new Error('wrong bytes')
  }
}

function residentMiB(): number {
  return process.memoryUsage.rss() / MIB
}

t.test('a client that asks and never reads is served no further than its bounds', async (t) => {
  for (const headers of ['simple', 'structured', 'extended'] as const) {
    const source = new FaultySource(content)
    const { path } = await serving(t, { access: 'read-only', source })
    using client = await NbdClient.ready(path, headers)
    client.socket.pause()
    const wish = requestBytes({ type: Command.read, length: MIB }, headers)
    client.socket.write(Buffer.concat(Array.from({ length: 2000 }, () => wish)))
    const served = () => source.reads.filter(({ length }) => length === MIB).length
    while (served() < 16) await bystander(path, 1)
    await bystander(path, 200)
    t.ok(served() <= BOUND_MIB, `${served()} MiB`)
    // It may still change its mind.
    const answers = 200
    for (let count = 0; count < answers; count++) {
      const { bytes } = await client.answer(0, MIB)
      if (!bytes.equals(content)) t.fail('wrong bytes')
    }
    t.ok(served() <= BOUND_MIB + answers)
  }
})

t.test('a client that asks for nonsense and never reads costs little', async (t) => {
  const { path } = await serving(t, readOnly())
  using client = await NbdClient.ready(path)
  client.socket.pause()
  const before = residentMiB()
  const nonsense = requestBytes({ type: 99 }, 'simple')
  const many = Buffer.concat(Array.from({ length: 200_000 }, () => nonsense))
  // As long as all of it is taken; once it is not, the server waits.
  let taken = 0
  while (taken < 40 && client.socket.write(many)) {
    taken++
    await bystander(path, 1)
  }
  await bystander(path, 100)
  t.ok(client.socket.writableLength > 0, 'the server does not take it')
  t.ok(residentMiB() - before < 64, `${residentMiB() - before} MiB`)
})

t.test('a client that chooses options and never reads costs little', async (t) => {
  const { path } = await serving(t, readOnly(), { description: 'x'.repeat(4000) })
  using client = await NbdClient.greeted(path)
  client.socket.pause()
  const before = residentMiB()
  const many = Buffer.concat(Array.from({ length: 50_000 }, () => optionBytes(Option.list)))
  client.socket.write(many)
  await bystander(path, 200)
  t.ok(client.socket.writableLength > 0, 'the server does not take it')
  t.ok(residentMiB() - before < 64, `${residentMiB() - before} MiB`)
})

t.test('payloads that are announced and do not come take no memory', async (t) => {
  const { path } = await serving(t, {
    access: 'read-write',
    source: deviceOf(new Uint8Array(64 * MIB)),
  })
  const before = residentMiB()
  const clients: NbdClient[] = []
  for (let count = 0; count < 50; count++) {
    const client = await NbdClient.ready(path)
    client.socket.write(requestBytes({ type: Command.write, length: 64 * MIB }, 'simple'))
    client.socket.write(Buffer.alloc(1000))
    clients.push(client)
  }
  using other = await NbdClient.ready(path)
  for (let count = 0; count < 50; count++) await other.request(READ)
  t.ok(residentMiB() - before < 100, `${residentMiB() - before} MiB`)
  for (const client of clients) client.socket.destroy()
})

t.test('a large request waits until it is alone, and then is served', async (t) => {
  const source = new FaultySource(patterned(64 * MIB))
  const { path } = await serving(t, { access: 'read-only', source })
  using client = await NbdClient.ready(path, 'structured')
  const sizes = [512, 64 * MIB, 512, 40 * MIB, 64 * MIB, 1024]
  for (const length of sizes) client.send({ type: Command.read, length })
  for (const length of sizes) {
    const { error, bytes } = await client.answer(0, length)
    t.equal(error, none)
    t.equal(bytes.length, length)
  }
})

t.test('garbage ends the connection of the one who sent it, and no other', async (t) => {
  const { path } = await serving(t, readOnly())
  using bystanding = await NbdClient.ready(path)
  for (const headers of ['simple', 'extended'] as const) {
    using lost = await NbdClient.ready(path, headers)
    lost.send(READ)
    lost.socket.write(Buffer.alloc(RequestHeader.size * 2, 0xee))
    t.equal((await lost.answer(0, 512)).error, none, 'what came before it is answered')
    t.ok(await lost.closed())
  }
  using rude = new NbdClient(path)
  rude.socket.write(Buffer.alloc(1000, 0xee))
  t.ok(await rude.closed())
  t.equal((await bystanding.request(READ)).error, none)
})

t.test('clients that vanish with requests under way leave nothing behind', async (t) => {
  const gate = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const source = new FaultySource(content, (count) => {
    if (count === 300) asked.resolve()
    return count <= 300 ? gate.promise : undefined
  })
  const { path, nbd } = await serving(t, { access: 'read-only', source })
  for (let count = 0; count < 3; count++) {
    const client = await NbdClient.ready(path)
    for (let sent = 0; sent < 100; sent++) client.send(READ)
    if (count === 2) await asked.promise
    client.socket.destroy()
  }
  await bystander(path, 10)
  gate.resolve()
  await nbd.close()
})

t.test('a handshake that does not end is ended', async (t) => {
  const { path } = await serving(t, readOnly(), { negotiationMs: 50 })
  using silent = new NbdClient(path)
  using slow = await NbdClient.greeted(path)
  slow.socket.write(optionBytes(Option.list).subarray(0, 5))
  using ready = await NbdClient.ready(path)
  t.ok(await silent.closed())
  t.ok(await slow.closed())
  t.equal((await ready.request(READ)).error, none, 'who is ready may take its time')
})

t.test('there are 100 places, and one that is left is free again', async (t) => {
  const { path } = await serving(t, readOnly())
  const clients: NbdClient[] = []
  for (let count = 0; count < 100; count++) clients.push(await NbdClient.greeted(path))
  using late = new NbdClient(path)
  t.equal((await late.bytes(18)).length, 0, 'no place')
  const [first] = clients
  await first!.verdict(Option.abort)
  await first!.closed()
  // The server may hear of that a moment later.
  for (let place = false; !place;) {
    using next = new NbdClient(path)
    place = (await next.bytes(18)).length === 18
  }
  for (const client of clients) client.socket.destroy()
})

t.test(
  'a client that closes its side gets its answers, and so does one that disconnects',
  async (t) => {
    const { path } = await serving(t, readOnly())
    for (const disconnects of [false, true]) {
      using client = await NbdClient.ready(path)
      for (let count = 0; count < 600; count++) client.send({ type: Command.read, length: 4096 })
      if (disconnects) client.send({ type: Command.disconnect })
      else client.socket.end()
      for (let count = 0; count < 600; count++) {
        const { bytes } = await client.answer(0, 4096)
        if (!bytes.equals(content.subarray(0, 4096))) t.fail('wrong bytes')
      }
      t.ok(await client.closed())
    }
  },
)

t.test('closing answers what is under way, and hangs up on handshakes', async (t) => {
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const source = new FaultySource(content, () => {
    asked.resolve()
    return gate.promise
  })
  const { path, nbd } = await serving(t, { access: 'read-only', source }, { farewellMs: 60_000 })
  using client = await NbdClient.ready(path)
  using negotiating = await NbdClient.greeted(path, HANDSHAKE_FIXED_NEWSTYLE)
  await negotiating.verdict(Option.list)
  const answer = client.request(READ)
  await asked.promise
  const closed = nbd.close()
  t.ok(await negotiating.closed())
  gate.resolve()
  t.equal((await answer).error, none)
  t.ok(await client.closed())
  await closed
})

t.test('closing does not wait for the rest of a payload', async (t) => {
  const device = deviceOf(new Uint8Array(MIB))
  const served = { access: 'read-write', source: device } as const
  const { path, nbd } = await serving(t, served, { farewellMs: 600_000 })
  using client = await NbdClient.ready(path)
  client.send(READ)
  client.socket.write(requestBytes({ type: Command.write, length: 4096 }, 'simple'))
  client.socket.write(Buffer.alloc(1000, 1))
  t.equal((await client.answer(0, 512)).error, none)
  await nbd.close()
  const bytes = new Uint8Array(4096)
  await device.read(bytes, 0)
  t.ok(
    bytes.every((byte) => byte === 0),
    'half a write is none',
  )
})

t.test('closing does not wait for ever: not for a source, nor for a client', async (t) => {
  const asked = Promise.withResolvers<void>()
  const stuck = new FaultySource(content, () => {
    asked.resolve()
    return new Promise(() => {})
  })
  const first = await serving(t, { access: 'read-only', source: stuck }, { farewellMs: 10 })
  using waiting = await NbdClient.ready(first.path)
  waiting.send(READ)
  await asked.promise
  await first.nbd.close()
  const source = new FaultySource(patterned(8 * MIB))
  const second = await serving(t, { access: 'read-only', source }, { farewellMs: 10 })
  using deaf = await NbdClient.ready(second.path)
  deaf.socket.pause()
  deaf.send({ type: Command.read, length: 8 * MIB })
  while (source.reads.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await second.nbd.close()
  t.ok(await waiting.closed())
})

t.test(
  'a client may say everything at once, close its side and wait for the answers',
  async (t) => {
    const { path } = await serving(t, readOnly())
    using client = new NbdClient(path)
    client.socket.end(
      Buffer.concat([
        ClientFlags.encode({ flags: HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES }),
        optionBytes(Option.go, goPayload('')),
        requestBytes({ type: Command.read, offset: 5, length: 1000 }, 'simple'),
      ]),
    )
    await client.bytes(Greeting.size)
    for (let type = 0; type !== Reply.ack;) {
      const head = OptionReply.decode(await client.bytes(OptionReply.size))
      await client.bytes(head.length)
      type = head.type
    }
    const { bytes } = await client.answer(5, 1000)
    t.ok(bytes.equals(content.subarray(5, 1005)))
    t.ok(await client.closed())
  },
)
