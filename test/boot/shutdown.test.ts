import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'

/**
 * Process 1 of a namespace, where reboot(2) ends the namespace: with SIGHUP in place of a restart,
 * with SIGINT in place of powering off (reboot(2)). $1 is the repository, $2 Node, $3 a file that is
 * the kernel's log, $4 the ending, $5 an empty directory.
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
  exec -a /shutdown "$0" "$@"
' "$2" "$1/src/main.ts" "$4" --timeout 90000000us --log-level 6
`

const skip = process.getuid?.() === 0 ? false : 'only root may make namespaces'

async function ends(ending: string, check: (signal: string | null, log: string) => void) {
  const directory = mkdtempSync(join(tmpdir(), 'netcow-shutdown-'))
  try {
    const log = join(directory, 'kmsg')
    writeFileSync(log, '')
    const root = join(directory, 'root')
    mkdirSync(root)
    const unshare = ['--mount', '--pid', '--fork', '--kill-child', 'bash', '-c', MACHINE, 'bash']
    const child = spawn(
      'unshare',
      [...unshare, resolve('.'), process.execPath, log, ending, root],
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
  await ends('reboot', (signal, log) => {
    t.equal(signal, 'SIGHUP')
    t.equal(log.match(/is still on the root: killed/g)?.length, 1)
    t.notMatch(log, /is in use/)
    t.match(log, /netcow: the root is taken apart: reboot/)
  })
})

t.test('an ending that is not known is a restart; power-off is power-off', { skip }, async (t) => {
  await ends('poweroff', (signal) => t.equal(signal, 'SIGINT'))
  await ends('what', (signal) => t.equal(signal, 'SIGHUP'))
})
