import { execFile, execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { build } from '../../build/build.ts'
import { patterned } from '../fixtures/bytes.ts'

/** What a copy is written to, besides files and standard output (tool.test.ts). */
const executable = await build()
const directory = t.testdir()
const run = promisify(execFile)
// What tap preloads into the tests is nothing for the tool.
delete process.env['NODE_OPTIONS']

const raw = join(directory, 'raw')
const image = join(directory, 'image.qcow2')
// Zeroes between, of more than one piece, and behind.
const bytes = Buffer.concat([
  patterned(1_000_000),
  Buffer.alloc(5_000_000),
  patterned(1_500_000),
  Buffer.alloc(888_608),
])
writeFileSync(raw, bytes)
execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image])

t.test('a pipe gets every byte, in order', async (t) => {
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [{ stderr }, got] = await Promise.all([
    run(executable, ['copy', image, pipe]),
    reader.stdout.toArray(),
  ])
  t.equal(stderr, '')
  t.ok(Buffer.concat(got).equals(bytes))
})

t.test('a file gets the holes of a raw image', async (t) => {
  const [sparse, out] = [join(directory, 'sparse'), join(directory, 'out')]
  writeFileSync(sparse, bytes.subarray(0, 100_000))
  truncateSync(sparse, 2 ** 30)
  await run(executable, ['copy', '--format', 'raw', sparse, out])
  const { size, blocks } = statSync(out)
  t.equal(size, 2 ** 30)
  t.ok(blocks * 512 < 2 ** 20, `${blocks} blocks`)
  t.ok(readFileSync(out).subarray(0, 100_000).equals(bytes.subarray(0, 100_000)))
})

t.test('an image is not copied over itself, nor over what lies below it', async (t) => {
  const folder = t.testdir()
  const [top, base, link] = ['top.qcow2', 'base.qcow2', 'link'].map((name) => join(folder, name))
  copyFileSync(image, base!)
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base!, top!])
  execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', 'base.qcow2', top!])
  symlinkSync(base!, link!)
  const before = readFileSync(base!)
  for (const words of [
    [base!, base!],
    [base!, link!],
    ['--backing', 'same-origin', top!, base!],
  ]) {
    const failed = { code: 2, stderr: /cannot be copied over itself/ }
    await t.rejects(run(executable, ['copy', ...words]), failed, words.join(' '))
    t.ok(readFileSync(base!).equals(before))
  }
})

const root = process.getuid?.() === 0
const loops = root && existsSync('/dev/loop-control')
const skip = loops ? false : 'there are no loop devices here'
t.test('a disk holds zeroes where the image has them, whatever it held', { skip }, async (t) => {
  const file = join(directory, 'disk')
  const held = Buffer.alloc(10 * 2 ** 20, 0xee)
  writeFileSync(file, held)
  const loop = ['--find', '--show', file]
  const device = execFileSync('losetup', loop, { encoding: 'utf8' }).trim()
  t.teardown(() => execFileSync('losetup', ['--detach', device]))
  const used = openSync(device, constants.O_RDONLY | constants.O_EXCL)
  await t.rejects(run(executable, ['copy', image, device]), { code: 2, stderr: /EBUSY/ })
  t.ok(readFileSync(device).equals(held), 'a disk that is in use is left alone')
  closeSync(used)
  await run(executable, ['copy', image, device])
  const disk = readFileSync(device)
  t.ok(disk.subarray(0, bytes.length).equals(bytes))
  t.ok(disk.subarray(bytes.length).equals(held.subarray(bytes.length)), 'and no more is written')
  writeFileSync(device, held)
  await run('sh', ['-c', '"$1" copy "$2" - >"$3"', 'sh', executable, image, device])
  t.ok(readFileSync(device).equals(disk), 'as standard output, too')
})

t.test('what has no room ends in an error', { skip: root ? false : 'needs root' }, async (t) => {
  const mounted = 'mount -t tmpfs -o size=2304k netcow "$1" && exec "$2" copy "$3" "$1/out"'
  const redirected = mounted.replace('"$1/out"', '- >"$1/out"')
  const folder = join(directory, 'small')
  execFileSync('mkdir', [folder])
  // A part of its last piece fits.
  const last = join(directory, 'last.qcow2')
  writeFileSync(raw, patterned(2_500_000))
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, last])
  const small = (script: string) =>
    ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, executable, last] as const
  for (const [command, place] of [
    [small(mounted), 'a file system'],
    [small(redirected), 'standard output'],
    [[executable, 'copy', last, '/dev/full'], '/dev/full'],
    [['sh', '-c', '"$1" info "$2" >/dev/full', 'sh', executable, last], 'results of others'],
  ] as const) {
    const [name, ...words] = command
    const failed = await run(name, words).catch((error: { code: number; stderr: string }) => error)
    t.match(failed, { code: 5, stderr: /^netcow: cannot write .*: no space left/ }, place)
  }
})
