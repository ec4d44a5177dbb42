import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Socket, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t from 'tap'
import { build } from '../../build/build.ts'
import { closeDescriptor, netlinkSocket, socketPair } from '../../src/kernel/ffi.ts'
import { Command } from '../../src/nbd/protocol.ts'
import { patterned } from '../fixtures/bytes.ts'
import { Certificates } from '../fixtures/certificates.ts'
import { NbdClient } from '../fixtures/nbd-client.ts'

/** `netcow serve` as its users start it, and clients that nobody here wrote. */
const executable = await build()
// Names of sockets are short.
const directory = mkdtempSync(join(tmpdir(), 'netcow-'))
t.teardown(() => rmSync(directory, { recursive: true }))
const run = promisify(execFile)
// What tap preloads into the tests is nothing for the tool.
delete process.env['NODE_OPTIONS']

const image = join(directory, 'raw')
writeFileSync(image, patterned(1 << 20))
const path = (name: string) => join(directory, name)

interface Served {
  readonly child: ChildProcess
  /** The address in its line. */
  readonly uri: string
}

async function serve(...words: string[]): Promise<Served> {
  const argv = ['serve', image, '--format', 'raw', '--log', 'info', ...words]
  const child = spawn(executable, argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for await (const text of child.stderr.setEncoding('utf8')) {
    said += text
    const [, uri] = / at (\S+)\n/.exec(said) ?? []
    if (uri !== undefined) return { child, uri }
  }
  throw new Error(said)
}

async function ended(child: ChildProcess, signal: NodeJS.Signals) {
  const exit = once(child, 'exit')
  child.kill(signal)
  return exit
}

/** The line and exit code of a call that is refused. */
async function refused(...words: string[]): Promise<string> {
  return run(executable, ['serve', image, '--format', 'raw', ...words]).then(
    () => 'not refused',
    ({ code, stderr }: { code: number; stderr: string }) => `${code} ${stderr.trim()}`,
  )
}

t.test('on TCP, IPv4 and IPv6, under a name and with a description', async (t) => {
  for (const host of ['127.0.0.1', '[::1]', '[::1%lo]', '']) {
    const named = ['--name', 'a disk', '--description', 'of the tests']
    const { child, uri } = await serve('--listen', `${host}:0`, ...named)
    if (host.includes('%')) t.match(uri, '[::1%25lo]')
    const reached = uri.replace(/\[::(?:1%25lo)?\]/, '[::1]')
    const { stdout } = await run('nbdinfo', ['--list', '--json', reached])
    t.match(JSON.parse(stdout), {
      exports: [{ 'export-name': 'a disk', description: 'of the tests', 'export-size': 1 << 20 }],
    })
    await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, reached])
    await t.rejects(run('nbdinfo', [reached.replace('a%20disk', 'other')]))
    t.strictSame(await ended(child, host === '' ? 'SIGHUP' : 'SIGINT'), [0, null])
  }
})

t.test('over TLS, with the files of the options', async (t) => {
  const certificates = new Certificates(path('pki'))
  const file = (name: string) => certificates.path(name)
  const identity = ['--tls-cert', file('server-cert.pem'), '--tls-key', file('server-key.pem')]
  const { uri } = await serve(
    '--listen',
    '127.0.0.1:0',
    ...identity,
    '--tls-ca',
    file('ca-cert.pem'),
  )
  t.match(uri, /^nbds:/)
  const shown = `${uri}?tls-certificates=${certificates.folder}`
  t.equal((await run('nbdinfo', ['--size', shown])).stdout.trim(), String(1 << 20))
  const socket = ['--socket', path('none.sock')]
  t.match(await refused(...socket, '--tls-cert', file('server-cert.pem')), /^2 .* both --tls-cert/)
  const swapped = ['--tls-cert', file('server-key.pem'), '--tls-key', file('server-cert.pem')]
  t.match(await refused(...socket, ...swapped), /^2 .* cannot be used/)
})

t.test('a socket that a killed server left behind is taken over, others are not', async (t) => {
  const socket = path('stale.sock')
  const { child } = await serve('--socket', socket)
  t.match(await refused('--socket', socket), /^2 .*EADDRINUSE.* end what listens there/)
  t.equal((await run('nbdinfo', ['--size', `nbd+unix:///?socket=${socket}`])).stdout, '1048576\n')
  await ended(child, 'SIGKILL')
  t.ok(existsSync(socket), 'left behind')
  const next = await serve('--socket', socket)
  await run('nbdinfo', ['--size', next.uri])
  t.strictSame(await ended(next.child, 'SIGTERM'), [0, null])
  t.notOk(existsSync(socket), 'it takes its own with it')
  const file = path('file')
  writeFileSync(file, 'precious')
  t.match(await refused('--socket', file), /^2 .*something else than a socket/)
  t.ok(existsSync(file))
})

t.test('nobody but its owner may connect to the Unix socket', async (t) => {
  const socket = path('mode.sock')
  await serve('--socket', socket)
  t.equal(statSync(socket).mode & 0o777, 0o600)
})

t.test('the address names the socket, whatever its path', async (t) => {
  const { uri } = await serve('--socket', path('50% of a+b & c?.sock'))
  t.equal((await run('nbdinfo', ['--size', uri])).stdout, '1048576\n')
})

t.test('a client on TCP that says nothing for long is asked whether it is there', async (t) => {
  const { uri } = await serve('--listen', '127.0.0.1:0')
  const port = new URL(uri).port
  const socket = connect(Number(port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, 'data')
  const { stdout } = await run('ss', ['-Htno', `sport = :${port}`])
  t.match(stdout, /timer:\(keepalive/)
})

t.test('to one client, over what is connected to standard input', async (t) => {
  const [ours, theirs] = socketPair()
  const child = spawn(executable, ['serve', image, '--format', 'raw', '--stdio'], {
    stdio: [theirs, 'ignore', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  closeDescriptor(theirs)
  using client = await NbdClient.ready(new Socket({ fd: ours }))
  const { bytes } = await client.request({ type: Command.read, offset: 4096, length: 100_000 })
  t.equal(Buffer.compare(bytes, patterned(1 << 20).subarray(4096, 104_096)), 0)
  const exit = once(child, 'exit')
  client.send({ type: Command.disconnect })
  t.strictSame(await exit, [0, null])
})

t.test('on a socket that a service manager hands over', async (t) => {
  const { stdout } = await run('nbdinfo', [
    '--size',
    '--',
    '[',
    executable,
    'serve',
    image,
    '--format',
    'raw',
    ']',
  ])
  t.equal(stdout.trim(), String(1 << 20))
})

t.test('SIGTERM answers what is under way, and does not wait for idle clients', async (t) => {
  const socket = path('idle.sock')
  const { child } = await serve('--socket', socket, '--overlay', 'memory:8M')
  using idle = await NbdClient.ready(socket)
  using busy = await NbdClient.ready(socket)
  for (let cookie = 0n; cookie < 50n; cookie++)
    busy.send({ type: Command.read, cookie, length: 1 << 20 })
  await busy.answer(0, 1 << 20)
  const exit = ended(child, 'SIGTERM')
  t.ok(await idle.closed())
  const content = patterned(1 << 20)
  let count = 1
  for (;;) {
    const answer = await busy.answer(0, 1 << 20).catch(() => undefined)
    if (answer === undefined) break
    count++
    if (!answer.bytes.equals(content)) t.fail('half an answer')
  }
  // What the client may have under way, of which one was answered before.
  t.ok(count >= 26, `${count} of 50`)
  t.strictSame(await exit, [0, null])
})

t.test('a service manager that hands over several sockets, or none, is told so', async (t) => {
  for (const count of ['2', '0']) {
    const script = `LISTEN_PID=$$ LISTEN_FDS=${count} exec ${executable} serve ${image} --format raw`
    const result = await run('sh', ['-c', script]).catch((error: { stderr: string }) => error)
    t.match(result.stderr, `one socket, not ${count}`)
  }
})

t.test('standard input has to be a connected socket', async (t) => {
  const script = `exec ${executable} serve ${image} --format raw --stdio </dev/null`
  const result = await run('sh', ['-c', script]).catch((error: { stderr: string }) => error)
  t.match(result.stderr, /needs a connected socket/)
})

t.test('standard input may neither listen nor be a socket without a stream', async (t) => {
  const listening = createServer().listen(path('listening.sock'))
  await once(listening, 'listening')
  t.teardown(() => listening.close())
  const messages = netlinkSocket(0, 1)
  t.teardown(() => closeDescriptor(messages))
  const handle: unknown = Reflect.get(listening, '_handle')
  for (const input of [Number(Reflect.get(Object(handle), 'fd')), messages]) {
    const child = spawn(executable, ['serve', image, '--format', 'raw', '--stdio'], {
      stdio: [input, 'ignore', 'pipe'],
    })
    const said = text(child.stderr!)
    t.strictSame(await once(child, 'exit'), [2, null])
    t.match(await said, /needs a connected socket/)
  }
})

t.test('another server that answers on the socket keeps it', async (t) => {
  const socket = path('foreign.sock')
  const foreign = createServer().listen(socket)
  await once(foreign, 'listening')
  t.match(await refused('--socket', socket), /^2 .*EADDRINUSE/)
  foreign.close()
})
