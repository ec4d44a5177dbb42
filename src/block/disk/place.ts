import { type FileHandle, constants, open } from 'node:fs/promises'
import { SourceRefused, StoreFull, reasonOf } from '../../errors.ts'
import { blockDeviceSize } from '../file.ts'

/** Where an overlay lies; read and written at positions, whole or not at all. */
export interface Place extends AsyncDisposable {
  readonly path: string
  /** When it was opened. */
  readonly sizeBytes: number
  /** It is a file, and what is written behind its end makes it longer. */
  readonly grows: boolean
  /** What lies behind the end reads as zeroes. */
  read(target: Uint8Array, offset: number): Promise<void>
  /** Throws `StoreFull` when the file system around a file has no room. */
  write(data: Uint8Array, offset: number): Promise<void>
  /** Everything written so far is on the disk when it resolves. */
  synchronize(): Promise<void>
}

/** A local file or block device. */
export class LocalPlace implements Place {
  readonly path: string
  readonly isDevice: boolean
  readonly sizeBytes: number
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle, isDevice: boolean, sizeBytes: number) {
    this.path = path
    this.#handle = handle
    this.isDevice = isDevice
    this.sizeBytes = sizeBytes
  }

  /**
   * Opens a file, made if it is missing, or a block device, which nobody else may have mounted.
   * `lock` takes a file for this process alone and throws if another has it. Throws `SourceRefused`.
   */
  static async open(path: string, lock: (descriptor: number) => void): Promise<LocalPlace> {
    const { O_RDWR, O_CREAT, O_EXCL } = constants
    const refused = (cause: NodeJS.ErrnoException) => {
      const busy = cause.code === 'EBUSY'
      const reason = busy ? 'something else uses it' : reasonOf(cause)
      throw new SourceRefused(`cannot open the overlay: ${reason}`, { where: { path }, cause })
    }
    const first = await open(path, O_RDWR | O_CREAT, 0o600).catch(refused)
    const stats = await first.stat()
    if (stats.isFile()) {
      try {
        lock(first.fd)
      } catch (cause) {
        await first.close()
        throw new SourceRefused('another process uses the overlay', { where: { path }, cause })
      }
      return new LocalPlace(path, first, false, stats.size)
    }
    await first.close()
    if (!stats.isBlockDevice()) {
      throw new SourceRefused('the overlay is neither a file nor a block device', {
        where: { path },
      })
    }
    const device = await open(path, O_RDWR | O_EXCL).catch(refused)
    return new LocalPlace(path, device, true, await blockDeviceSize(device))
  }

  get grows(): boolean {
    return !this.isDevice
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await this.#handle.read(
        target,
        done,
        target.length - done,
        offset + done,
      )
      if (bytesRead === 0) {
        target.fill(0, done)
        return
      }
      done += bytesRead
    }
  }

  async write(data: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < data.length;) {
      const { bytesWritten } = await this.#handle
        .write(data, done, data.length - done, offset + done)
        .catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOSPC' && error.code !== 'EDQUOT') throw error
          throw new StoreFull('the disk that holds the overlay is full', {
            where: { path: this.path },
            wantedBytes: data.length,
            advice: 'free space there',
          })
        })
      done += bytesWritten
    }
  }

  synchronize(): Promise<void> {
    return this.#handle.datasync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close()
  }
}
