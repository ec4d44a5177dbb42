import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { IN_VAIN } from '../cli/channel.ts'
import { inPrivateMounts } from '../kernel/namespace.ts'
import { DAEMON, enterArk, gather } from './ark.ts'

/**
 * Whoever starts the daemon of a root disk again if it is killed: a shell that waits for it. It has
 * all it needs in the ark, and costs what a shell that does nothing costs; a process of netcow's
 * would cost forty times as much. systemd spares it for the '@' before its name.
 */

/** A daemon that has lived for so long has done what it was started for. */
const LONG_S = 10
/** Two lines in the kernel's log each time. */
const LONGEST_PAUSE_S = 60

/**
 * $0 is the device, and the words are those of the daemon. Whoever launched us reads from descriptor 3
 * until the first of them has closed it.
 *
 * A device has a record in /run from the moment it is there until it is taken apart, and as long as it
 * has one it needs a daemon, however the one before ended, and even if the machine is so short of memory
 * that none can be started. Only one that ended in good order, or says that there is nothing to go on with,
 * is the last. One after the other ends soon: they wait longer and longer, by themselves, since there may be
 * no other program that can; what cannot be started is tried each second, by the clock.
 *
 * dash and busybox end with a process that they cannot make, except in a command eval. bash does, having
 * tried for a quarter of a minute, and then the daemon takes its place, for which no process is needed.
 */
export const KEEPER = `
trap '' HUP INT QUIT TERM PIPE
echo -1000 >/proc/self/oom_score_adj
device=$0
record=/run/netcow/\${device#/dev/}.resume
say() { echo "<3>netcow: the daemon of $device ended ($status), $1" >/dev/kmsg; }
clock() { IFS=. read -r now _ </proc/uptime; }
${DAEMON} daemon "$@"
status=$?
exec 3>/dev/null
trap 'exec ${DAEMON} daemon "$@" "--resume=$device"' EXIT
pause=0
said=
while [ -e "$record" ]; do
  case $status in
    0 | ${IN_VAIN})
      say 'and is the last'
      break
      ;;
  esac
  [ "$status" = "$said" ] || say 'starting another one'
  said=$status
  clock
  began=$now
  command eval '${DAEMON} daemon "$@" "--resume=$device" "--pause=$pause"'
  status=$?
  clock
  [ $((now - began)) -le 1 ] || said=
  if [ $((now - began - pause)) -ge ${LONG_S} ]; then
    pause=0
  else
    pause=$((2 * pause + 1))
    [ $pause -le ${LONGEST_PAUSE_S} ] || pause=${LONGEST_PAUSE_S}
  fi
  while [ "$now" = "$began" ]; do clock; done
done
trap - EXIT
exit $status
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
    return spawn(path, ['-c', KEEPER, device, ...argv], {
      ...options,
      argv0,
      cwd: '/',
      env: { ...options.env, PATH: '/bin' },
    })
  })
}
