import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * The control group of our daemons. It lies directly below the root of the hierarchy, where no unit owns it and
 * systemd looks for nothing: what is left of a unit of the initramfs is stopped by the systemd of the
 * root, with all its processes, and so is what was started in a session or a service that ends.
 *
 * What its processes have in memory is not swapped out: the swap may be on the disk that they serve, and
 * a page fault of theirs would then wait for itself. Memory counts for the group in which it was first
 * used, and stays with that, so a daemon has to begin in it.
 */

/** The unified hierarchy (cgroups(7)), and where in it this process is. */
export interface Hierarchy {
  readonly root: string
  readonly own: string
}

/** Where it is now. Each call looks anew. */
export function hierarchy(): Hierarchy {
  const [, own = ''] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? []
  return { root: '/sys/fs/cgroup', own }
}

/**
 * Its processes are in a group of their own below it. As long as that is told about memory, nobody can
 * switch the controller off for the outer one.
 */
const OUTER = 'netcow'
const OURS = `${OUTER}/daemons`

/**
 * Does `start` in the group, so that the processes that it makes are there from their beginning. Returns
 * what it returns, and whether their memory is kept from swap; `start` is called in any case.
 */
export function startUnswapped<T>(
  start: () => T,
  { root, own }: Hierarchy,
): { readonly started: T; readonly unswapped: boolean } {
  const unswapped =
    countsMemory(root) &&
    attempt(() => {
      makeGroup(root)
      forbidSwap(root)
      join(root, OURS, process.pid)
    })
  try {
    return { started: start(), unswapped }
  } finally {
    if (unswapped) attempt(() => join(root, own, process.pid))
  }
}

/** Takes what this process has started out of the unit of systemd called `unit`, if it runs in that. */
export function leaveUnit(unit: string): void {
  const { root, own } = hierarchy()
  if (!own.endsWith(`/${unit}`)) return
  makeGroup(root)
  const processes = readFileSync(`${root}${own}/cgroup.procs`, 'utf8').trim().split('\n')
  for (const pid of processes) if (Number(pid) !== process.pid) join(root, OURS, pid)
}

/**
 * Takes a process out of the unit or the session that it was started in, which end with all of their
 * processes. Throws what the kernel has against it.
 */
export function outliveUnit(pid: number): void {
  const { root } = hierarchy()
  // Without the unified hierarchy there are no units that would count for us.
  if (!existsSync(`${root}/cgroup.procs`)) return
  makeGroup(root)
  join(root, OURS, pid)
}

function makeGroup(root: string): void {
  mkdirSync(`${root}/${OURS}`, { recursive: true })
}

/** Elsewhere memory is counted by the older kind of hierarchy, or not at all. */
function countsMemory(root: string): boolean {
  const controllers = `${root}/cgroup.controllers`
  return existsSync(controllers) && /\bmemory\b/.test(readFileSync(controllers, 'utf8'))
}

/** Throws where a kernel does not count swap. */
function forbidSwap(root: string): void {
  writeFileSync(`${root}/cgroup.subtree_control`, '+memory')
  writeFileSync(`${root}/${OUTER}/cgroup.subtree_control`, '+memory')
  writeFileSync(`${root}/${OURS}/memory.swap.max`, '0')
}

function attempt(act: () => void): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}

function join(root: string, group: string, pid: number | string): void {
  try {
    writeFileSync(`${root}/${group}/cgroup.procs`, `${pid}`)
  } catch (error) {
    // It has ended in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
