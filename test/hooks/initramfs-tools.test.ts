import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'

const PANIC = resolve('initramfs-hooks/initramfs-tools/scripts/panic/netcow')
const skip =
  process.getuid?.() === 0 ? false : 'only root may put a kernel command line of its own in place'

/** What the script that initramfs-tools runs in a panic says and calls. */
function panics(t: Test, commandLine: string): string[] {
  const commands = ['sleep', 'reboot', 'poweroff']
  const said = Object.fromEntries(commands.map((name) => [name, `#!/bin/sh\necho ${name} "$@"\n`]))
  const directory = t.testdir({ ...said, cmdline: `${commandLine}\n` })
  for (const name of commands) chmodSync(join(directory, name), 0o755)
  const script = 'mount --bind cmdline /proc/cmdline; PATH=$PWD:$PATH exec sh "$1"'
  // The machine stays in any case.
  const command = ['--bounding-set', '-sys_boot', 'unshare', '--mount', 'sh', '-euc', script]
  const options = { cwd: directory, encoding: 'utf8' } as const
  return execFileSync('setpriv', [...command, 'sh', PANIC], options)
    .trim()
    .split('\n')
}

t.test('a panic ends the machine as onfail says; the last word counts', { skip }, async (t) => {
  t.strictSame(panics(t, 'root=x netcow.onfail=shell rd.netcow.onfail=reboot quiet'), [
    'netcow: reboot in 10 s, as rd.netcow.onfail says',
    'sleep 10',
    'reboot -f',
  ])
  t.equal(panics(t, 'netcow.onfail=poweroff').at(-1), 'poweroff -f')
})

t.test(
  'there is a shell unless onfail says otherwise, or it was asked for',
  { skip },
  async (t) => {
    for (const line of ['', 'rd.netcow.onfail=shell', 'rd.netcow.onfail=reboot break=mount']) {
      t.strictSame(panics(t, line), [''], line)
    }
  },
)
