import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'

/**
 * How much may be written to files and not yet to the disk under them. The kernel lets that grow to
 * a fifth of the memory, all of which has to go somewhere before a file system frees anything.
 */

const EVERYTHING_PERCENT = '100'
/** With less, whoever writes would hardly go on; the kernel itself refuses less than two pages. */
const LEAST_BYTES = 2 ** 20

/**
 * Limits it for the device `index` and the file systems right on it, or lifts the limit, where the
 * kernel can do that: Linux 6.2 and later (sysfs-class-bdi). It waits for nothing of the device.
 */
export async function limitDirtyPagesOf(index: number, bytes: number | undefined): Promise<void> {
  const folder = `/sys/block/nbd${index}/bdi`
  if (!existsSync(`${folder}/max_bytes`)) return
  await writeFile(`${folder}/max_ratio`, EVERYTHING_PERCENT)
  // The kernel refuses more than what the limit for all disks is: then that one does it.
  if (bytes !== undefined)
    await writeFile(`${folder}/max_bytes`, `${Math.max(bytes, LEAST_BYTES)}`).catch(() => {})
  await writeFile(`${folder}/strict_limit`, bytes === undefined ? '0' : '1')
}

/**
 * Limits it for all disks together, as a machine wants it whose disk is its memory; also what LVM,
 * LUKS and btrfs write, who keep an account of their own. A lower limit stays (proc(5), sysctl/vm).
 * To be set before that of a device, which the kernel keeps as a share of this one.
 */
export function limitDirtyPages(wanted: number, folder = '/proc/sys/vm'): void {
  const bytes = Math.max(wanted, LEAST_BYTES)
  const now = Number(readFileSync(`${folder}/dirty_bytes`, 'utf8'))
  if (now > 0 && now <= bytes) return
  writeFileSync(`${folder}/dirty_background_bytes`, `${Math.floor(bytes / 2)}`)
  writeFileSync(`${folder}/dirty_bytes`, `${bytes}`)
}
