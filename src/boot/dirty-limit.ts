import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** systemd-sysctl and procps read these folders file by file, by name: the last one wins (sysctl.d(5)). */
const FILE = 'sysctl.d/zz-netcow.conf'
const LIMITS = ['dirty_background_bytes', 'dirty_bytes'] as const

/**
 * Has the system set the limits again that the boot has set (kernel/dirty-pages.ts), behind what it sets
 * itself: a vm.dirty_ratio of its own would lift them, and a full overlay could then never be freed.
 *
 * @param run the /run that the system gets
 * @param now where the kernel says what is set
 */
export function keepDirtyLimit(run: string, now = '/proc/sys/vm'): void {
  const lines = LIMITS.flatMap((name) => {
    const bytes = Number(readFileSync(join(now, name), 'utf8'))
    // Zero means a share of the memory: without an overlay in memory nobody has set a limit.
    return bytes === 0 ? [] : [`vm.${name} = ${bytes}\n`]
  })
  if (lines.length === 0) return
  const path = join(run, FILE)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, lines.join(''))
}
