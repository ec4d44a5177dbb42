import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { inPrivateMounts } from '../kernel/namespace.ts'
import { DAEMON, enterArk, gather } from './ark.ts'

/**
 * Whoever starts the daemon of a root disk again if it is killed: a shell that waits for it. It has
 * all it needs in the ark, and costs what a shell that does nothing costs; a process of netcow's
 * would cost forty times as much. systemd spares it for the '@' before its name.
 */

/**
 * $0 is the device, and the words are those of the daemon. A daemon that ended by itself has said
 * why, and is not started again; one that a signal ended takes its device over. Whoever launched us
 * reads from descriptor 3 until the first of them has closed it.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE
echo -1000 >/proc/self/oom_score_adj
device=$0
${DAEMON} daemon "$@"
while [ $? -gt 128 ]; do
  exec 3>/dev/null
  echo "<3>netcow: the daemon of $device was killed, starting another one" >/dev/kmsg
  ${DAEMON} daemon "$@" "--resume=$device"
done
`

/**
 * Starts the daemon of the device in the ark, with a keeper. Throws `KernelRefused`.
 *
 * @param needed files that the daemon was told to read
 */
export function startKept(
  device: string,
  needed: readonly string[],
  argv: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const cargo = gather(needed)
  const { path, argv0 } = cargo.shell
  return inPrivateMounts(() => {
    enterArk(cargo)
    return spawn(path, ['-c', SCRIPT, device, ...argv], {
      ...options,
      argv0,
      cwd: '/',
      env: { ...options.env, PATH: '/bin' },
    })
  })
}
