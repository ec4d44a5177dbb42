import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { build } from '../../build/build.ts'
import { patterned } from '../fixtures/bytes.ts'
import { Authority } from '../fixtures/authority.ts'
import { Proxy } from '../fixtures/proxy.ts'
import { RangeServer } from '../fixtures/range-server.ts'

/** The tool as its users start it. */
const executable = await build()
const directory = t.testdir()
const run = promisify(execFile)
// What tap preloads into the tests is nothing for the tool.
delete process.env['NODE_OPTIONS']

async function netcow(...argv: string[]) {
  const child = spawn(executable, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (texts[name] += text))
  }
  const [code] = await once(child, 'close')
  return { code, ...texts }
}

const raw = join(directory, 'raw')
const image = join(directory, 'image.qcow2')
const pipe = join(directory, 'pipe')
execFileSync('mkfifo', [pipe])
const root = process.getuid?.() === 0
writeFileSync(raw, Buffer.concat([patterned(200_000), Buffer.alloc(500_000), patterned(324_000)]))
execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, image])
const server = await RangeServer.open({
  '/image.qcow2': readFileSync(image),
  '/page.html': Buffer.from('<!DOCTYPE html><html></html>'),
})
t.teardown(() => server[Symbol.asyncDispose]())

t.test('copy writes the bytes of the guest, from a file and over HTTP', async (t) => {
  for (const name of [image, server.url('/image.qcow2')]) {
    const out = join(directory, 'out')
    t.match(await netcow('copy', name, out), { code: 0, stderr: '' })
    t.ok(readFileSync(out).equals(readFileSync(raw)))
    const { stdout } = spawnSync(executable, ['copy', image, '-'])
    t.ok(stdout.equals(readFileSync(raw)))
  }
})

t.test('info says what qemu-img says', async (t) => {
  const theirs = JSON.parse(
    execFileSync('qemu-img', ['info', '--output=json', image], { encoding: 'utf8' }),
  )
  const { stdout } = await netcow('info', '--json', image)
  t.match(JSON.parse(stdout), theirs)
  t.match((await netcow('info', image)).stdout, /^virtual size: 0\.977 MiB \(1024000 bytes\)$/m)
})

t.test('each failure is one line and its exit code', async (t) => {
  const url = (path: string) => server.url(path)
  const cases: readonly (readonly [argv: string[], code: number, line: RegExp])[] = [
    [['bogus'], 2, /unknown command 'bogus'/],
    [['serv'], 2, /did you mean 'serve'/],
    [['copy', image], 2, /needs OUT\|-/],
    [['copy', image, '-', 'more'], 2, /does not know what 'more' is/],
    [['info', image, '--chache', '1'], 2, /did you mean --cache/],
    [['info', image, '--cache', 'x'], 2, /--cache takes a size/],
    [['info', '--socket', 'x', image], 2, /takes no --socket/],
    [['info', image, '--snapshot', 'x'], 2, /takes no --snapshot/],
    [['info', image, '-j'], 2, /unknown option -j;/],
    [['info', image, '--json=yes'], 2, /--json takes no value/],
    [['info', image, '--cache', '--json'], 2, /--cache needs SIZE/],
    [['map', image, '--snapshot', ''], 2, /--snapshot takes a name/],
    [['map', image, '--backing', 'sameorigin'], 2, /did you mean same-origin/],
    [['--verison'], 2, /did you mean '--version'/],
    [['info', ''], 2, /name of the image is empty/],
    [['info', directory], 3, /neither a file nor a block device/],
    [['info', pipe], 3, /neither a file nor a block device/],
    [['info', 'http:/host/image'], 2, /not a sound URL.*http:\/\/SERVER/],
    [['info', 'http:///image'], 2, /not a sound URL/],
    [['info', 'http://host:65536/image'], 2, /not a sound URL.*65535/],
    [['info', 'htp://host/image'], 2, /not an http or https URL/],
    [['serve', image], 2, /exactly one of/],
    [['serve', image, '--stdio', '--read-only', '--overlay', 'memory'], 2, /contradict/],
    [['serve', 'memory:1M', '--stdio', '--overlay', 'memory'], 2, /without --overlay/],
    [
      ['serve', 'memory:1M', '--stdio', '--offset', '4K'],
      2,
      /--offset has no meaning for memory:1M/,
    ],
    [['serve', 'memory:1M', '--stdio', '--snapshot', 'x'], 2, /--snapshot has no meaning/],
    [['copy', image, '-', '--data-file', raw], 2, /no external data file; leave --data-file out/],
    [
      ['map', raw, '--format', 'raw', '--snapshot', 'x'],
      2,
      /raw image has no snapshots.*--snapshot/,
    ],
    [['map', raw, '--format', 'raw', '--data-file', image], 2, /raw image has no external data/],
    [['info', '/nonexistent'], 3, /no such file or directory \(path \/nonexistent\)/],
    [['info', url('/missing')], 3, /no such file on the server \(404\) \(url http/],
    [['info', url('/page.html')], 4, /not a QCOW2 image/],
    [['info', 'http://127.0.0.1:1/x', '--timeout', '0'], 3, /refuses the connection/],
    [['copy', image, '/nonexistent/out'], 2, /cannot write the copy: no such file or directory/],
    [['serve', image, '--socket', join(directory, 'no/socket')], 2, /no such folder \(path/],
    [['serve', image, '--socket', image], 2, /something else than a socket/],
    [['serve', image, '--socket', 'x'.repeat(108)], 2, /at most 107 bytes/],
    [['serve', image, '--stdio', '--overlay', 'memory:0'], 2, /--overlay takes/],
    [['detach', '/dev/sda'], 2, /not an nbd device/],
    [['detach'], 2, /needs a device or --all/],
    root
      ? [['boot', '--stage', 'leave'], 2, /needs the directory/]
      : [['boot', '--stage', 'leave'], 5, /only root may/],
  ]
  const results = await Promise.all(cases.map(([argv]) => netcow(...argv)))
  for (const [index, [argv, code, line]] of cases.entries()) {
    const result = results[index]!
    t.equal(result.code, code, argv.join(' '))
    t.match(result.stderr, line)
    t.equal(result.stderr.trim().split('\n').length, 1, result.stderr)
  }
})

t.test('a server that does not serve ranges gives the file once, if there is room', async (t) => {
  server.onRequest = () => ({ kind: 'ignore-range' })
  t.teardown(() => {
    server.onRequest = () => undefined
  })
  const url = server.url('/image.qcow2')
  const out = join(directory, 'out')
  const before = server.traffic().requests
  const whole = await netcow('copy', url, out)
  t.match(whole, { code: 0, stderr: /does not serve ranges .* the whole file is fetched now/ })
  t.ok(readFileSync(out).equals(readFileSync(raw)))
  t.equal(server.traffic().requests - before, 2, 'the range that was not given, and the file')
  const { code, stderr } = await netcow('copy', '--cache', '128K', url, out)
  t.equal(code, 3)
  t.match(stderr, /does not serve ranges, and .* too long .* --cache 2M\n$/)
})

t.test('https through a proxy, until the server dies and a mirror is read', async (t) => {
  await using authority = await Authority.open()
  await using proxy = await Proxy.open()
  const identity = await authority.issue('DNS:localhost')
  await using secure = await RangeServer.open({ '/image.qcow2': readFileSync(image) }, identity)
  secure.onRequest = ({ number }) => {
    if (number > 1) void secure.down()
    return undefined
  }
  const ca = join(directory, 'ca.pem')
  writeFileSync(ca, authority.cert)
  const out = join(directory, 'out')
  const mirror = ['--mirror', server.url('/image.qcow2')]
  const more = ['--ca', ca, '--proxy', proxy.url.href, ...mirror]
  const result = await netcow('copy', secure.url('/image.qcow2', 'localhost'), out, ...more)
  t.match(result, { code: 0 }, result.stderr)
  t.ok(readFileSync(out).equals(readFileSync(raw)))
  t.ok(proxy.asked.includes(`CONNECT localhost:${secure.port}`))
  t.ok(proxy.asked.includes(`GET ${server.url('/image.qcow2')}`))
})

t.test('every command explains itself', async (t) => {
  const { stdout } = await netcow('--help')
  const commands = ['serve', 'attach', 'detach', 'info', 'copy', 'boot']
  const helps = await Promise.all(commands.map((command) => netcow(command, '--help')))
  for (const [index, command] of commands.entries()) {
    t.match(stdout, new RegExp(`^ {2}${command} `, 'm'))
    t.match(helps[index], { code: 0, stdout: /^Usage: netcow/ })
  }
  t.match(await netcow('--version'), { code: 0, stdout: /^netcow \d+\.\d+\.\d+\n$/ })
  t.match(await netcow('info', '-h'), helps[3]!)
  t.match(await netcow('help', 'info'), helps[3]!)
  t.match(await netcow('-h'), { code: 0, stdout })
})

t.test('a name that is no text is refused, not mistaken for another', async (t) => {
  const script = '"$1" copy "$2" "$(printf "$3/\\351")"'
  const call = run('sh', ['-c', script, 'sh', executable, image, directory])
  const failed = await call.catch((error: { code: number; stderr: string }) => error)
  t.match(failed, { code: 2, stderr: /is not in UTF-8; give the file another name/ })
})

t.test('an empty device in memory needs no word for its format', async (t) => {
  t.match(await netcow('map', '--json', 'memory:64K'), { code: 0, stdout: /"length":65536/ })
})

t.test('what only root may look into is said to others', { skip: !root }, async (t) => {
  const script =
    'mount -t tmpfs netcow /run && mkdir -m 700 /run/netcow && exec setpriv --reuid 65534 "$1" list'
  const call = run('unshare', ['--mount', 'sh', '-c', script, 'sh', executable])
  const failed = await call.catch((error: { code: number; stderr: string }) => error)
  t.match(failed, { code: 5, stderr: /only root may look into \/run\/netcow; run it with sudo/ })
})

t.test('serve ends in good order on SIGTERM and keeps its socket to itself', async (t) => {
  const path = join(directory, 'serve.sock')
  const child = spawn(
    executable,
    [
      'serve',
      server.url('/image.qcow2'),
      '--socket',
      path,
      '--overlay',
      'memory:8M',
      '--log',
      'info',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await once(child.stderr, 'data')
  t.equal(execFileSync('stat', ['-c', '%a', path], { encoding: 'utf8' }).trim(), '600')
  const uri = `nbd+unix:///?socket=${path}`
  await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', raw, uri])
  await run('qemu-io', ['-f', 'raw', '-c', 'write -P 7 0 4k', '-c', 'read -P 7 0 4k', uri])
  child.kill('SIGTERM')
  t.strictSame(await once(child, 'exit'), [0, null])
})

t.test('serve takes the socket of a service manager, as libnbd hands it over', async (t) => {
  const { stdout } = await run('nbdinfo', ['--size', '--', '[', executable, 'serve', image, ']'])
  t.equal(stdout.trim(), '1024000')
})

t.test('serve takes a connected socket on its standard input', async (t) => {
  const path = join(directory, 'stdio.sock')
  const listener = createServer({ pauseOnConnect: true }).listen(path)
  const client = connect(path)
  const [socket] = await once(listener, 'connection')
  const child = spawn(executable, ['serve', image, '--stdio'], {
    stdio: [socket, 'ignore', 'inherit'],
  })
  const [greeting] = await once(client, 'data')
  t.equal(greeting.toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT')
  client.destroy()
  socket.destroy()
  t.strictSame(await once(child, 'exit'), [0, null])
  listener.close()
})
