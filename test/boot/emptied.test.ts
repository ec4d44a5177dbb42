import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { askAt } from '../../src/cli/control.ts'
import { Command } from '../../src/nbd/protocol.ts'
import { NbdClient } from '../fixtures/nbd-client.ts'
import { YARD_BYTES, Yard } from '../fixtures/yard.ts'

/**
 * Daemons that are started in an initramfs, which is then emptied: whatever they need from there on,
 * they have.
 */

const skip = process.getuid?.() === 0 ? false : 'only root has mounts of its own'
const OFFSET = 2 ** 20

for (const [where, names] of [
  ['ark', 'etc'],
  ['bare', 'run'],
] as const) {
  t.test(`a daemon in an emptied initramfs (${where})`, { skip }, async (t) => {
    await using yard = await Yard.open(names)
    const { secret, packed, hosts, proxy, dns, second } = yard
    await yard.start(where)
    t.equal(yard.line('emptied'), 'emptied: dev proc run sys', 'nothing is left')
    dns.names.set('second.test', '127.0.0.1')

    await t.test(
      'reads an encrypted image from a server that asks for a certificate',
      async (t) => {
        t.ok(await yard.reads('secret'))
        await secret.down()
        const reading = yard.reads('secret')
        await yard.heard(/^secret: waiting for the source/)
        await secret.up()
        t.ok(await reading, 'a server that was away')
        t.ok(secret.resumed > 0, 'a TLS session is resumed')
      },
    )
    await t.test(
      'finds a server that it never heard of before, and greets it by TLS',
      async (t) => {
        packed.onRequest = () => ({
          kind: 'status',
          status: 302,
          headers: { location: second.url('/zstd', 'second.test') },
        })
        t.ok(await yard.reads('zstd'))
        t.ok(second.traffic().bytes > YARD_BYTES / 2)
        t.ok(dns.asked.includes('second.test'))
        packed.onRequest = () => undefined
      },
    )
    await t.test('reads through a proxy, and waits out what its server says', async (t) => {
      const before = proxy.asked.length
      hosts.faults.push({ kind: 'status', status: 503 }, { kind: 'reset', afterBytes: 10 })
      t.ok(await yard.reads('zlib'))
      t.ok(proxy.asked.length > before)
      hosts.faults.push({ kind: 'status', status: 404 })
      t.ok(await yard.reads('zlib'), 'even what is said to be gone')
    })
    await t.test('writes, and says how it is', async (t) => {
      using client = await NbdClient.ready(yard.run('secret.sock'))
      const payload = randomBytes(4096)
      const written = await client.request({ type: Command.write, offset: OFFSET, payload })
      t.equal(written.error, 0)
      const read = { type: Command.read, offset: OFFSET, length: payload.length }
      t.ok((await client.request(read)).bytes.equals(payload))
      const ask = (request: Parameters<typeof askAt>[1]) =>
        askAt(yard.run('secret.control'), request, { device: 'secret' })
      t.strictSame(await ask({ kind: 'resize-overlay', limitBytes: 2 ** 25 }), { kind: 'done' })
      const answer = await ask({ kind: 'status' })
      assert(answer.kind === 'status')
      t.match(answer.status, {
        overlay: { usedBytes: payload.length, limitBytes: 2 ** 25 },
        sources: [{ servers: [{ identity: /./ }] }],
      })
      t.ok(answer.status.memory.heapBytes > 0)
      await t.rejects(ask({ kind: 'resize-overlay', limitBytes: 2 ** 52 }), /of memory in all/)
    })
    t.notOk(yard.line('ended'), 'all of them live')
    t.equal(yard.complaints, '')
  })
}
