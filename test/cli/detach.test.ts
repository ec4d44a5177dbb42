import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * A machine where nbd0 is mounted, as the root is, and nbd1 and nbd2 were taken apart by somebody
 * else when their daemons were dead. $1 is the repository, $2 Node, the rest are words of netcow.
 */
const MACHINE = `
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /sys
cd "$1"
mkdir -p /run/netcow /sys/block/nbd0 /sys/block/nbd1 /sys/block/nbd2 /sys/class/block/nbd0/holders
echo 1 >/sys/block/nbd0/pid
mountpoint -d /run >/sys/class/block/nbd0/dev
for kind in json resume sock; do
  for index in 0 1 2; do echo '{}' >"/run/netcow/nbd$index.$kind"; done
done
node=$2
shift 2
code=0
"$node" src/main.ts "$@" 2>&1 || code=$?
echo "$code" /run/netcow/*
`

async function netcow(...words: string[]): Promise<string[]> {
  const unshare = ['--mount', 'sh', '-c', MACHINE, 'sh', resolve('.'), process.execPath]
  const { stdout } = await promisify(execFile)('unshare', [...unshare, ...words])
  return stdout.trim().split('\n')
}

const isRoot = process.getuid?.() === 0
const skip = isRoot ? false : 'only root may mount'
const files = (index: number) =>
  ['json', 'resume', 'sock'].map((kind) => `/run/netcow/nbd${index}.${kind}`).join(' ')

t.test('a device that is in use keeps none of the others', { skip }, async (t) => {
  const [complaint, ...rest] = await netcow('detach', '--all')
  t.match(complaint, /^netcow: the device is in use: mounted on \/run \(device \/dev\/nbd0\)/)
  t.strictSame(rest, [`5 ${files(0)}`])
})

t.test('a device that is no more is forgotten', { skip }, async (t) => {
  t.strictSame(await netcow('detach', '/dev/nbd1'), [`0 ${files(0)} ${files(2)}`])
})

t.test('one that was never attached is not attached', { skip }, async (t) => {
  const [complaint] = await netcow('detach', '/dev/nbd3')
  t.match(complaint, /^netcow: the device is not attached \(device \/dev\/nbd3\)/)
})

t.test('who is not root hears that root is needed', async (t) => {
  const calls = [
    ['detach', '/dev/nbd0'],
    ['status', '/dev/nbd0'],
    ['resize-overlay', '/dev/nbd0', '1M'],
    ['attach', '--resume', '/dev/nbd0'],
    ['attach', 'memory:1M'],
  ]
  for (const words of calls) {
    const node = [process.execPath, 'src/main.ts', ...words]
    const [program = '', ...argv] = isRoot ? ['unshare', '--user', ...node] : node
    const call = promisify(execFile)(program, argv)
    await t.rejects(call, { code: 5, stderr: /^netcow: only root may .*; run it with sudo$/m })
  }
})
