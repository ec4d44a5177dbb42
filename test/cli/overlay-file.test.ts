import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { patterned } from '../fixtures/bytes.ts'

/** The tool run from its sources, with an overlay in a file, and QEMU as its client. */
const main = join(import.meta.dirname, '../../src/main.ts')
const run = promisify(execFile)
const directory = t.testdir()
const raw = join(directory, 'raw')
writeFileSync(raw, patterned(3_000_000))
// What tap preloads into the tests is nothing for the tool.
delete process.env['NODE_OPTIONS']

async function serve(overlay: string, image = raw) {
  const socket = join(directory, `${Math.random()}.sock`)
  const args = ['serve', image, '--format', 'raw', '--socket', socket, '--overlay', overlay]
  const child = spawn(process.execPath, [main, ...args, '--log', 'info'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  const ended = once(child, 'exit')
  const ready = (async () => {
    for await (const text of child.stderr.setEncoding('utf8')) {
      said += text
      if (/serving .* at /.test(said)) return
    }
  })()
  await Promise.race([ready, ended])
  const io = (...commands: string[]) => {
    const words = commands.flatMap((command) => ['-c', command])
    return run('qemu-io', ['-f', 'raw', `nbd+unix:///?socket=${socket}`, ...words])
  }
  return { child, ended, io, said: () => said }
}

t.test('what is written to an overlay in a file is there after SIGKILL', async (t) => {
  const file = join(directory, 'overlay')
  const first = await serve(`file:${file}`)
  await first.io(
    'write -P 0x41 4k 200k',
    'write -P 0x42 1M 4k',
    'discard 64k 64k',
    'write -z 2M 4k',
  )
  first.child.kill('SIGKILL')
  await first.ended
  const second = await serve(`file:${file}`)
  const { stdout } = await second.io(
    'read -P 0x41 4k 60k',
    'read -P 0 64k 64k',
    'read -P 0x41 128k 76k',
    'read -P 0x42 1M 4k',
    'read -P 0 2M 4k',
    'write -P 0x43 1M 4k',
    'flush',
  )
  t.notMatch(stdout, /failed|mismatch/i)
  second.child.kill('SIGTERM')
  t.strictSame(await second.ended, [0, null])
  t.ok(readFileSync(raw).equals(Buffer.from(patterned(3_000_000))), 'the image is as it was')
  t.ok(statSync(file).size < 4 * 2 ** 20)
})

t.test('one file for two images, or for two servers, is refused', async (t) => {
  const file = join(directory, 'one')
  const first = await serve(`file:${file}`)
  await first.io('write 0 4k')
  const busy = await serve(`file:${file}`)
  t.equal((await busy.ended)[0], 3)
  t.match(busy.said(), /another process uses the overlay/)
  first.child.kill('SIGTERM')
  await first.ended
  const other = join(directory, 'other')
  writeFileSync(other, patterned(3_000_000, 7))
  truncateSync(other, 2_000_000)
  const refused = await serve(`file:${file}`, other)
  t.equal((await refused.ended)[0], 3)
  t.match(refused.said(), /belongs to another image/)
})

t.test('a file with something else in it is left alone', async (t) => {
  const file = join(directory, 'letter')
  writeFileSync(file, 'Dear Sir or Madam')
  const refused = await serve(`file:${file}`)
  t.equal((await refused.ended)[0], 3)
  t.match(refused.said(), /something else where the overlay should be/)
  t.equal(readFileSync(file, 'utf8'), 'Dear Sir or Madam')
})

const loops = process.getuid?.() === 0 && existsSync('/dev/loop-control')
const skip = loops ? false : 'there are no loop devices here'
t.test('so is a disk on which blkid finds anything; an empty one is used', { skip }, async (t) => {
  const file = join(directory, 'disk')
  writeFileSync(file, '')
  truncateSync(file, 16 * 2 ** 20)
  const loop = ['--find', '--show', file]
  const device = execFileSync('losetup', loop, { encoding: 'utf8' }).trim()
  t.teardown(() => execFileSync('losetup', ['--detach', device]))
  execFileSync('mke2fs', ['-q', '-F', device])
  const before = readFileSync(device)
  const refused = await serve(`file:${device}`)
  t.equal((await refused.ended)[0], 3)
  t.match(refused.said(), /something else/)
  t.ok(readFileSync(device).equals(before))
  execFileSync('wipefs', ['--quiet', '--all', device])
  const first = await serve(`file:${device}`)
  await first.io('write -P 0x44 0 64k')
  first.child.kill('SIGTERM')
  await first.ended
  const second = await serve(`file:${device}`)
  t.notMatch((await second.io('read -P 0x44 0 64k')).stdout, /mismatch|failed/i)
  second.child.kill('SIGTERM')
  await second.ended
})
