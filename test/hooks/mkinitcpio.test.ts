import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

/**
 * The runtime hook under busybox ash, called in the order of mkinitcpio's init: sourced for each of
 * its functions, hooks, mount handler, cleanup. mkinitcpio's own functions are stand-ins, and so is
 * the step that needs a kernel with nbd; the other stages are netcow's own.
 */

const run = promisify(execFile)
const HOOK = resolve('initramfs-hooks/mkinitcpio/hooks/netcow')
const INSTALL = resolve('initramfs-hooks/mkinitcpio/install/netcow')
const MAIN = resolve('src/main.ts')

const skip =
  process.getuid?.() !== 0
    ? 'only root may put a kernel command line of its own in place'
    : await run('busybox', ['ash', '-c', ':']).then(
        () => false as const,
        () => 'there is no busybox',
      )

/** Fails as often as a file has lines, and works then. */
const NETCOW = `#!/bin/sh
[ "$*" != boot ] || {
  echo attach
  [ -s failures ] || exit 0
  sed -i 1d failures
  exit 3
}
[ "$2" != --stage ] || [ "$3" != leave ] || {
  echo "leave for $4"
  exit
}
exec '${process.execPath}' '${MAIN}' "$@"
`

/** mkinitcpio's own functions, and commands that are not to be called here. */
const STAND_INS = `
msg() { echo "msg $*"; }
err() { echo "err $*"; }
launch_interactive_shell() { echo shell; }
mount() { echo "mount $*"; }
sleep() { echo "sleep $*"; }
reboot() { echo "reboot $*"; exit; }
poweroff() { echo "poweroff $*"; exit; }
dmesg() { printf '%s\\n' '<3>[ 1.0] netcow: no such file' '<6>[ 1.0] eth0: up'; }
`

const INIT = `${STAND_INS}
EMERGENCYHOOKS='netcow'
run_hookfunctions() {
  fn=$1
  shift 2
  for hook; do
    unset "$fn"
    . "$hookfile"
    type "$fn" >/dev/null || continue
    "$fn"
  done
}
root=$given mount_handler=default
run_hookfunctions run_hook hook netcow
echo "root $root, mode \${rwopt:-unset}, handler $mount_handler"
[ "$mount_handler" = default ] || "$mount_handler" /new_root
run_hookfunctions run_latehook late netcow
mkdir -p /run/netcow && { [ "$given" = /dev/sda1 ] || touch /run/netcow/nbd0.json; }
mkdir -p /run/initramfs/usr/bin && touch /run/initramfs/usr/bin/netcow
run_hookfunctions run_cleanuphook cleanup netcow
[ -e /run/initramfs/usr/bin/netcow ] || echo 'no copy stays'
cat /tmp/cmdline 2>/dev/null || :
`

/** mkinitcpio calls it before any of its shells. */
const EMERGENCY = `${STAND_INS}
. "$hookfile"
run_emergencyhook
echo shell
`

async function boot(
  t: Test,
  commandLine: string,
  failures = 0,
  init: string = INIT,
): Promise<string[]> {
  const directory = t.testdir({ netcow: NETCOW, init, cmdline: `${commandLine}\n` })
  chmodSync(join(directory, 'netcow'), 0o755)
  writeFileSync(join(directory, 'failures'), 'again\n'.repeat(failures))
  const [, given = ''] = /(?:^| )root=(\S+)/.exec(commandLine) ?? []
  const script = `
    mount --bind cmdline /proc/cmdline
    mount -t tmpfs tmpfs /run
    mkdir /run/upper /run/work
    case $PWD in
      # What the test needs lies there.
      /tmp/*) mount -t overlay -o lowerdir=/tmp,upperdir=/run/upper,workdir=/run/work overlay /tmp ;;
      *) mount -t tmpfs tmpfs /tmp ;;
    esac
    hookfile=$1 given=$2 PATH=$PWD:$PATH exec busybox ash init`
  // The machine stays in any case.
  const command = ['--bounding-set', '-sys_boot', 'unshare', '--mount']
  const words = [...command, 'sh', '-euc', script, 'sh', HOOK, given]
  const { stdout } = await run('setpriv', words, { cwd: directory })
  return stdout.trim().split('\n')
}

t.test('without a word for netcow everything stays as it is', { skip }, async (t) => {
  t.strictSame(await boot(t, 'root=/dev/sda1 rw quiet'), [
    'root /dev/sda1, mode unset, handler default',
    'no copy stays',
  ])
})

t.test('the root that netcow finds is mounted by our handler', { skip }, async (t) => {
  t.strictSame(await boot(t, 'root=netcow:http://server/image ip=off'), [
    'attach',
    'root /dev/netcow/root, mode rw, handler netcow_mount',
    "msg :: mounting '/dev/netcow/root' on real root",
    'mount -t auto -o rw,x-initrd.mount /dev/netcow/root /new_root',
    'leave for /new_root',
    'no copy stays',
    'root=/dev/netcow/root',
  ])
})

t.test('another root= is left to mkinitcpio', { skip }, async (t) => {
  t.strictSame(await boot(t, 'rd.netcow=http://server/image root=UUID=1 ip=off ro'), [
    'attach',
    'root UUID=1, mode ro, handler default',
    'leave for /new_root',
    'no copy stays',
  ])
})

t.test(
  'a failure runs the emergency hooks and a shell, and is tried again',
  { skip },
  async (t) => {
    const said = await boot(t, 'netcow=http://server/image ip=off', 1)
    t.strictSame(said.slice(0, 6), [
      'attach',
      'The last that netcow said:',
      '<3>[ 1.0] netcow: no such file',
      'err netcow cannot attach the root, see its message above',
      'Leave this shell to try again.',
      'shell',
    ])
    t.strictSame(said.slice(6, 8), [
      'attach',
      'root /dev/netcow/root, mode rw, handler netcow_mount',
    ])
  },
)

t.test('the machine ends as onfail says, but not in place of a shell', { skip }, async (t) => {
  const ends = async (words: string) => {
    const said = await boot(t, `netcow=http://server/image ${words}`, 0, EMERGENCY)
    return said.slice(2)
  }
  t.strictSame(await ends('rd.netcow.onfail=shell netcow.onfail=reboot'), [
    'err netcow: reboot in 10 s, as rd.netcow.onfail says',
    'sleep 10',
    'reboot -f',
  ])
  t.equal((await ends('netcow.onfail=poweroff')).at(-1), 'poweroff -f')
  t.strictSame(await ends('netcow.onfail=poweroff break=postmount'), ['shell'])
  t.strictSame(await ends('netcow.onfail=reboot netcow.onfail=shell'), ['shell'])
})

t.test('the build hook brings the certificates along that the system trusts', async (t) => {
  const script = `
    mount -t tmpfs netcow /etc/ssl && mkdir /etc/ssl/certs && : >/etc/ssl/certs/ca-certificates.crt
    add_binary() { :; }; add_module() { :; }; add_checked_modules() { :; }; map() { :; }
    add_runscript() { :; }; add_file() { echo "$@"; }
    . "$1" && build`
  const argv = ['--mount', '--map-root-user', 'bash', '-c', script, 'bash', INSTALL]
  const added = execFileSync('unshare', argv, { encoding: 'utf8' })
  t.match(added, /^\/etc\/ssl\/certs\/ca-certificates\.crt$/m)
})
