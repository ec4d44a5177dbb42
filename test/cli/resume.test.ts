import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * A daemon that is to take over a device, with --onfail=reboot, in process and mount namespaces of its
 * own: to restart the machine ends those, and nothing else (pid_namespaces(7)).
 *
 * $1 is the repository, $2 Node, $3 the daemon before, $4 what happens to it; then the words.
 */
const MACHINE = `
set -eu
[ $$ = 1 ]
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount --bind /dev/null /dev/kmsg
mkfifo /run/ready
cd "$1"
node="$2 --disable-warning=ExperimentalWarning"
$node --input-type=module --eval "$3" >/dev/null &
before=$!
read -r _ </run/ready
kill "-$4" $before
if [ "$4" = KILL ]; then wait $before || :; fi
shift 4
$node src/main.ts daemon "$@" --onfail=reboot --resume=/dev/nbd0 3>/run/told || echo "exit $?"
cat /run/told
echo 'the machine is still there'
`

/** Holds the device, as it is known from the files of one. */
const BEFORE = `
  import { writeFileSync } from 'node:fs'
  import { holdDevice } from './src/cli/device-lock.ts'
  import { makeRunDirectory, writeFacts, writeResumeRecord } from './src/cli/run-files.ts'
  makeRunDirectory()
  await holdDevice(0)
  const facts = { device: '/dev/nbd0', pid: process.pid, image: 'x', sizeBytes: 1, access: 'read-only' }
  writeFacts(0, { ...facts, attachedAtUptimeMs: 1, daemonSinceUptimeMs: 1 })
  const record = { argv: [], directory: '/', index: 0, identities: ['x'], destinations: {} }
  writeResumeRecord({ ...record, attachedAtUptimeMs: 1 })
  writeFileSync('/run/ready', '\\n')
  setInterval(() => {}, 1e6)
`

async function resumed(signal: 'STOP' | 'KILL', before: string, ...words: string[]) {
  const unshare = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', MACHINE, 'sh']
  const machine = [resolve('.'), process.execPath, before, signal]
  return promisify(execFile)('unshare', [...unshare, ...machine, ...words])
}

t.setTimeout(120_000)
const skip = process.getuid?.() === 0 ? false : 'only root has namespaces'
/** Nobody listens there. */
const IMAGE = 'http://127.0.0.1:9/image'

/** By what the machine ended: SIGHUP, if somebody restarted it. */
async function ending(machine: Promise<unknown>): Promise<unknown> {
  const error: unknown = await machine.catch((error: unknown) => error)
  return error instanceof Error && 'signal' in error ? error.signal : undefined
}

t.test('while the daemon before lives the machine goes on, answer or not', { skip }, async (t) => {
  const { stdout } = await resumed('STOP', BEFORE, IMAGE, '--overlay=memory:64M')
  t.match(stdout, /still served by another process/)
  t.match(stdout, /the machine is still there\n$/)
})

t.test(
  'when it is dead, and with it what was written, the machine restarts',
  { skip },
  async (t) => {
    t.equal(await ending(resumed('KILL', BEFORE, IMAGE, '--overlay=memory:64M')), 'SIGHUP')
  },
)

t.test('a device that was detached meanwhile is no reason to restart', { skip }, async (t) => {
  const detached = BEFORE.replace('writeFileSync(', 'removeRunFiles(0); writeFileSync(').replace(
    'makeRunDirectory, ',
    'makeRunDirectory, removeRunFiles, ',
  )
  const { stdout } = await resumed('KILL', detached, IMAGE, '--overlay=memory:64M')
  t.match(stdout, /not attached by netcow/)
  t.match(stdout, /the machine is still there\n$/)
})

t.test('one that waits for its image waits as long as it was told to', { skip }, async (t) => {
  t.equal(await ending(resumed('KILL', BEFORE, IMAGE, '--read-only', '--timeout=1')), 'SIGHUP')
})
