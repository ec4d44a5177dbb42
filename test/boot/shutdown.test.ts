import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { lastWords } from '../../src/boot/shutdown.ts'

/**
 * Process 1 of a namespace, where reboot(2) ends the namespace: with SIGHUP in place of a restart,
 * with SIGINT in place of powering off (reboot(2)). $1 is the repository, $2 Node, $3 a file that is
 * the kernel's log, $4 the ending, $5 an empty directory, $6 what systemd would wait, $7 what else is started.
 */
const MACHINE = `
set -e
mount -t tmpfs tmpfs "$5"
cd "$5"
for folder in bin lib lib64 usr etc "$1"; do
  [ -e "/$folder" ] || continue
  mkdir -p "./$folder"
  mount --rbind "/$folder" "./$folder"
done
mkdir -p proc dev oldroot run/netcow
mount -t proc proc proc
touch dev/kmsg dev/null
mount --bind "$3" dev/kmsg
mount --bind /dev/null dev/null

# The system that was: a file system on another, and what it had of the kernel.
mount -t tmpfs tmpfs oldroot
mkdir -p oldroot/var/data oldroot/dev
mount -t tmpfs tmpfs oldroot/var
mkdir oldroot/var/data
mount -t tmpfs tmpfs oldroot/dev
touch oldroot/dev/kmsg

exec chroot . /bin/bash -c '
  (cd /oldroot/var/data && exec sleep 1000) &
  exec 3>/oldroot/dev/kmsg
  (exec -a @netcow sleep 1000) &
  exec 3>&-
  until [ "$(cat /proc/[0-9]*/comm | grep -c sleep)" = 2 ]; do :; done
  eval "$1"
  shift
  exec -a /shutdown "$0" "$@"
' "$2" "$7" "$1/src/main.ts" "$4" --timeout "$6" --log-level 6
`

const skip = process.getuid?.() === 0 ? false : 'only root may make namespaces'

/** Stops whoever takes the root apart, as a file system does whose server is gone. */
const HANGS = `(
  until pid=$(grep -lsz 'take-[a]part' /proc/[0-9]*/cmdline); do :; done
  pid=\${pid#/proc/}
  kill -STOP "\${pid%%/*}"
) &`

/** One that shows the machine's last picture, from the root. */
const SPLASH = `
  (cd /oldroot/var/data && exec -a @plymouthd sleep 1000) &
  until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
`

/** Daemon and keeper of a disk, which were both started from the root. */
const DAEMON = `
  (cd /oldroot/var/data && exec -a @netcow bash -c '
    (exec -a @netcow sleep 1000) &
    echo $! >/run/daemon
    wait
    echo the daemon was killed >/dev/kmsg
  ') &
  until [ -s /run/daemon ] && [ "$(cat /proc/$(cat /run/daemon)/comm)" = sleep ]; do :; done
  sed "s/PID/$(cat /run/daemon)/" >/run/netcow/nbd1000.json <<FACTS
    { "device": "/dev/nbd1000", "pid": PID, "image": "", "sizeBytes": 1, "access": "read-only",
      "attachedAtUptimeMs": 1, "daemonSinceUptimeMs": 1 }
FACTS
`

async function ends(
  ending: string,
  check: (signal: string | null, log: string) => void,
  timeout = '90000000us',
  besides = ':',
) {
  const directory = mkdtempSync(join(tmpdir(), 'netcow-shutdown-'))
  try {
    const log = join(directory, 'kmsg')
    writeFileSync(log, '')
    const root = join(directory, 'root')
    mkdirSync(root)
    const unshare = ['--mount', '--pid', '--fork', '--kill-child', 'bash', '-c', MACHINE, 'bash']
    const child = spawn(
      'unshare',
      [...unshare, resolve('.'), process.execPath, log, ending, root, timeout, besides],
      {
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    )
    const [, signal] = await once(child, 'exit')
    check(signal, readFileSync(log, 'utf8'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

t.test('the root is taken apart, the daemon spared, the machine restarted', { skip }, async (t) => {
  const check = (signal: string | null, log: string) => {
    t.equal(signal, 'SIGHUP')
    t.equal(
      log.match(/is still on the root: killed/g)?.length,
      2,
      'with who is called as daemons are',
    )
    t.notMatch(log, /is in use/)
    t.match(log, /netcow: the root is taken apart: reboot/)
  }
  await ends('reboot', check, undefined, SPLASH)
})

t.test(
  'a daemon on the root is spared, and its keeper; power-off is power-off',
  { skip },
  async (t) => {
    const check = (signal: string | null, log: string) => {
      t.equal(signal, 'SIGINT')
      t.equal(log.match(/is still on the root: killed/g)?.length, 1)
      t.match(log, /oldroot\/var is in use, and only made read-only/)
      t.notMatch(log, /the daemon was killed/)
    }
    await ends('poweroff', check, undefined, DAEMON)
  },
)

t.test('an ending that is not known is a restart', { skip }, async (t) => {
  await ends('what', (signal) => t.equal(signal, 'SIGHUP'))
})

t.test('the machine ends although the root cannot be taken apart', { skip }, async (t) => {
  const check = (signal: string | null, log: string) => {
    t.equal(signal, 'SIGINT')
    t.match(log, /not taken apart after 1 s; what was not written is lost: poweroff/)
  }
  await ends('poweroff', check, '1us', HANGS)
})

t.test('what systemd says of its patience is heard, within reason', async (t) => {
  const words = (...options: string[]) => lastWords(['reboot', ...options])[2]
  t.equal(words('--log-level', '6', '--timeout', '30000000us'), '30')
  t.equal(words('--timeout', '18446744073709551615us'), '600')
  t.equal(words(), '90')
  t.equal(words('--timeout'), '90')
  t.strictSame(lastWords([]), ['shutdown', 'poweroff', '90'])
})
