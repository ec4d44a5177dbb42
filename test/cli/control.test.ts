import { once } from 'node:events'
import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { ControlServer, askAt } from '../../src/cli/control.ts'
import { KernelRefused, UsageError } from '../../src/errors.ts'

const path = join(t.testdir(), 'socket')
const where = { device: '/dev/nbd7' }

t.test('a daemon answers those who ask, one after the other', async (t) => {
  using _server = await ControlServer.open(path, (request) => {
    if (request.kind === 'status') throw new UsageError('not today')
    return { kind: 'done' }
  })
  t.equal(statSync(path).mode & 0o777, 0o600)
  const resize = { kind: 'resize-overlay', limitBytes: 4096 } as const
  t.strictSame(await askAt(path, resize, where), { kind: 'done' })
  t.strictSame(await askAt(path, resize, where), { kind: 'done' })
  await t.rejects(askAt(path, { kind: 'status' }, where), /not today/)
})

t.test('nonsense is refused, and what is too long gets no answer', async (t) => {
  using _server = await ControlServer.open(path, () => ({ kind: 'done' }))
  const said = async (line: string) => {
    const socket = connect({ path, allowHalfOpen: true })
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.end(line)
    return text(socket).catch(() => '')
  }
  t.match(await said('hello'), /refused/)
  t.match(await said('{"kind":"resize-overlay","limitBytes":-1}'), /refused/)
  t.match(await said('{"kind":"resize-overlay","limitBytes":1e300}'), /refused/)
  t.equal(await said('x'.repeat(100_000)), '')
  t.match(await said('{"kind":"status"}'), /done/)
})

t.test('a daemon that is dead is said to be', async (t) => {
  await t.rejects(askAt(path, { kind: 'status' }, where), KernelRefused)
})
