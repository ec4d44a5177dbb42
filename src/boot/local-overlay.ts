import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskPlace } from '../cli/device-file.ts'
import { ImageUnsupported } from '../errors.ts'
import { mountWritable, unmountLazily } from '../kernel/mounts.ts'
import { probe } from './blkid.ts'
import { DRIVERS, findDisk } from './local-image.ts'

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
    mkdirSync(PLACE, { recursive: true, mode: 0o700 })
    mountWritable(device, PLACE, DRIVERS[type] ?? type)
    return new LocalOverlay(join(PLACE, path), true)
  }

  /** The daemon has it open and mounted for itself, or never will. */
  [Symbol.dispose](): void {
    if (this.#isMounted) unmountLazily(PLACE)
  }
}
