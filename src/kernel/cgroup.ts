import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const ROOT = '/sys/fs/cgroup'
const OURS = `${ROOT}/netcow`

/**
 * Takes what this process has started out of the unit of systemd called `unit`, if it runs in that,
 * into a control group that no unit owns: what is left of a unit of the initramfs is stopped by the
 * systemd of the root, with all its processes.
 */
export function leaveUnit(unit: string): void {
  // The line of the unified hierarchy (cgroups(7)).
  const [, path = ''] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? []
  if (!path.endsWith(`/${unit}`)) return
  mkdirSync(OURS, { recursive: true })
  const processes = readFileSync(`${ROOT}${path}/cgroup.procs`, 'utf8').trim().split('\n')
  for (const pid of processes) if (Number(pid) !== process.pid) move(pid)
}

/**
 * Takes a process out of the unit or the session that it was started in, which end with all of their
 * processes, into the same control group. Throws what the kernel has against it.
 */
export function outliveUnit(pid: number): void {
  // Without the unified hierarchy there are no units that would count for us.
  if (!existsSync(`${ROOT}/cgroup.procs`)) return
  mkdirSync(OURS, { recursive: true })
  move(`${pid}`)
}

function move(pid: string): void {
  try {
    writeFileSync(`${OURS}/cgroup.procs`, pid)
  } catch (error) {
    // It has ended in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
