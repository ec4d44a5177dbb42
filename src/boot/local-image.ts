import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeviceFile, type Disk, shownDisk } from '../cli/device-file.ts'
import { makeRunDirectory } from '../cli/run-files.ts'
import { ImageUnsupported, SourceUnavailable, UsageError } from '../errors.ts'
import { mountReadOnly, unmountLazily } from '../kernel/mounts.ts'
import { devicesWith, probe } from './blkid.ts'

/**
 * An image that is a file on a local disk. Its file system is mounted where nobody else looks, and
 * only for as long as the daemon needs to open the file: an open file keeps a file system that has
 * been unmounted lazily, and no path leads to it any more.
 */

export const IMAGE_PLACE = '/run/netcow/local'
/** Disks appear one after the other. */
const LOOK_AGAIN_MS = 500
const SAY_AGAIN_MS = 10_000
/** Names of drivers, where they are not those of blkid. */
export const DRIVERS: Readonly<Record<string, string>> = { ntfs: 'ntfs3' }

export class LocalImage implements Disposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /**
   * Waits for the disk, not longer than `timeoutMs`, and mounts it read-only. Throws
   * `SourceUnavailable`, `ImageUnsupported` or `KernelRefused`.
   */
  static async open(
    { disk, path }: DeviceFile,
    timeoutMs: number,
    say: (line: string) => void,
  ): Promise<LocalImage> {
    const device = await findDisk(disk, timeoutMs, say)
    const type = (await probe(device)).get('TYPE')
    if (type === undefined) {
      throw new ImageUnsupported('blkid knows no file system there', { where: { device } })
    }
    makeRunDirectory()
    mkdirSync(IMAGE_PLACE, { recursive: true, mode: 0o700 })
    mountReadOnly(device, IMAGE_PLACE, DRIVERS[type] ?? type)
    return new LocalImage(join(IMAGE_PLACE, path))
  }

  /** The daemon has the file open, or never will. */
  [Symbol.dispose](): void {
    unmountLazily(IMAGE_PLACE)
  }
}

/** The device of a disk. Throws `UsageError` when there are two, `SourceUnavailable` when none comes. */
export async function findDisk(
  disk: Disk,
  timeoutMs: number,
  say: (line: string) => void,
): Promise<string> {
  for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
    const [device, other] = await candidates(disk)
    if (other !== undefined) {
      throw new UsageError(`${shownDisk(disk)} is on two disks`, {
        where: { device: `${device}`, other },
      })
    }
    if (device !== undefined) return device
    if (waitedMs >= timeoutMs) {
      throw new SourceUnavailable('the disk is not there', { where: { disk: shownDisk(disk) } })
    }
    if (waitedMs % SAY_AGAIN_MS === 0 && waitedMs > 0) {
      say(`waiting for the disk ${shownDisk(disk)} (${waitedMs / 1000} s)`)
    }
    await sleep(LOOK_AGAIN_MS)
  }
}

async function candidates(disk: Disk): Promise<readonly string[]> {
  if (disk.kind === 'tag') return devicesWith(disk.tag, disk.value)
  const there = statSync(disk.path, { throwIfNoEntry: false })
  return there?.isBlockDevice() === true ? [disk.path] : []
}
