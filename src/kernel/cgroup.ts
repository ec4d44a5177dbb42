import { existsSync, mkdirSync, writeFileSync } from 'node:fs'

const ROOT = '/sys/fs/cgroup'
const OURS = `${ROOT}/netcow`

/**
 * Takes a process out of the unit of systemd that it was started in, into a control group that no
 * unit owns: what is left of a unit of the initramfs is stopped by the systemd of the root, with all
 * its processes. Does nothing where there is no systemd, or no unified hierarchy of groups.
 */
export function leaveUnit(pid: number): void {
  if (!existsSync('/run/systemd/system') || !existsSync(`${ROOT}/cgroup.controllers`)) return
  mkdirSync(OURS, { recursive: true })
  writeFileSync(`${OURS}/cgroup.procs`, `${pid}`)
}
