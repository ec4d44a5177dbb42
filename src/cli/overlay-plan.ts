import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { KernelRefused, UsageError } from '../errors.ts'
import type { DevicePlan } from '../plan.ts'
import type { OverlayOption } from './options.ts'

/** Where writes go, as the user said it; a memory overlay without a size gets `defaultBytes`. */
export async function overlayPlan(
  overlay: OverlayOption,
  defaultBytes: number,
): Promise<DevicePlan['overlay']> {
  switch (overlay.kind) {
    case 'none':
      return overlay
    case 'memory':
      return { kind: 'memory', limitBytes: overlay.limitBytes ?? defaultBytes }
    case 'local':
      throw new UsageError('disks are looked for only at boot', {
        advice: 'write --overlay file:/dev/X or file:PATH',
      })
    case 'file': {
      const path = resolve(overlay.path)
      return { kind: 'disk', path, bootId: await bootId(), isEmpty: () => hasNothing(path) }
    }
  }
}

async function bootId(): Promise<Uint8Array> {
  const uuid = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return Buffer.from(uuid.replaceAll(/[^\da-f]/g, ''), 'hex')
}

/** What blkid exits with when it knows nothing of what is on a device. */
const NOTHING_FOUND = 2

/**
 * Whether blkid finds nothing on a disk: no file system, partition table, volume or swap. What it
 * finds more than one of is something, too. Throws `KernelRefused` if there is nobody to ask.
 */
async function hasNothing(path: string): Promise<boolean> {
  try {
    await promisify(execFile)('blkid', ['-p', path])
    return false
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    if (error.code !== 'ENOENT') return error.code === NOTHING_FOUND
    throw new KernelRefused('there is no blkid to say whether the disk is empty', {
      where: { path },
      advice: 'install util-linux',
      cause: error,
    })
  }
}
