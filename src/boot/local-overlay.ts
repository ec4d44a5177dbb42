import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskPlace } from '../cli/device-file.ts'
import { makeRunDirectory } from '../cli/run-files.ts'
import { ImageUnsupported } from '../errors.ts'
import { mountWritable, shareWritable, unmountLazily } from '../kernel/mounts.ts'
import { probe } from './blkid.ts'
import { DRIVERS, IMAGE_PLACE, findDisk } from './local-image.ts'

/**
 * An overlay on a local disk: a whole partition, or a file on it. The file system of a file is
 * mounted only where the daemon is, so that nobody else holds on to it; it ends with the daemon.
 */

const PLACE = '/run/netcow/overlay'

export class LocalOverlay implements Disposable {
  /** As the option --overlay takes it. */
  readonly option: string
  readonly #isMounted: boolean

  private constructor(path: string, isMounted: boolean) {
    this.option = `file:${path}`
    this.#isMounted = isMounted
  }

  /** Waits for the disk for as long as it takes. Throws `ImageUnsupported` or `KernelRefused`. */
  static async open(
    { disk, path }: DiskPlace,
    timeoutMs: number,
    say: (line: string) => void,
  ): Promise<LocalOverlay> {
    const device = await findDisk(disk, timeoutMs, say)
    if (path === undefined) return new LocalOverlay(device, false)
    const type = (await probe(device)).get('TYPE')
    if (type === undefined) {
      throw new ImageUnsupported('blkid knows no file system there', {
        where: { device },
        advice: 'leave the path away to use the whole disk',
      })
    }
    makeRunDirectory()
    mkdirSync(PLACE, { recursive: true, mode: 0o700 })
    // A disk has one file system, which is writable or not: the image may have it mounted already.
    if (isDiskOf(IMAGE_PLACE, device)) shareWritable(IMAGE_PLACE, PLACE)
    else mountWritable(device, PLACE, DRIVERS[type] ?? type)
    return new LocalOverlay(join(PLACE, path), true)
  }

  /** The daemon has it open and mounted for itself, or never will. */
  [Symbol.dispose](): void {
    if (this.#isMounted) unmountLazily(PLACE)
  }
}

/** Whether what is at `place` lies on this disk. (btrfs says no, and can be mounted both ways.) */
function isDiskOf(place: string, device: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.dev === statSync(device).rdev
}
