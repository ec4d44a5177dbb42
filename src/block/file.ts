import { type FileHandle, open } from 'node:fs/promises'
import { SourceRefused, SourceUnavailable } from '../errors.ts'
import { type BlockSource, type Extent, assertRange } from './source.ts'

/** A local file or block device, only read. */
export class FileSource implements BlockSource {
  readonly size: number
  readonly #path: string
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path
    this.#handle = handle
    this.size = size
  }

  /** Throws `SourceRefused` for what is missing, unreadable, or neither a file nor a disk. */
  static async open(path: string): Promise<FileSource> {
    const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
      throw new SourceRefused(`cannot open the image: ${reason(error)}`, {
        where: { path },
        cause: error,
      })
    })
    try {
      return new FileSource(path, handle, await sizeOf(handle, path))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    for (let done = 0; done < target.length;) {
      const at = offset + done
      const { bytesRead } = await this.#handle
        .read(target, done, target.length - done, at)
        .catch((error: NodeJS.ErrnoException) => {
          throw new SourceUnavailable(`cannot read the image: ${reason(error)}`, {
            where: { path: this.#path, offset: at },
            cause: error,
          })
        })
      if (bytesRead === 0) {
        throw new SourceUnavailable('the image file has become shorter', {
          where: { path: this.#path, offset: at, size: this.size },
        })
      }
      done += bytesRead
    }
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close()
  }
}

async function sizeOf(handle: FileHandle, path: string): Promise<number> {
  const stat = await handle.stat()
  if (stat.isFile()) return stat.size
  if (stat.isBlockDevice()) return blockDeviceSize(handle)
  throw new SourceRefused('the image is neither a file nor a block device', { where: { path } })
}

/** Bisects for the last readable byte: Node has no lseek, and sysfs is not everywhere. */
async function blockDeviceSize(handle: FileHandle): Promise<number> {
  const byte = new Uint8Array(1)
  const readable = async (at: number) => (await handle.read(byte, 0, 1, at)).bytesRead === 1
  let end = 1
  while (await readable(end - 1)) end *= 2
  let low = Math.floor(end / 2)
  let high = end - 1
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    if (await readable(middle)) low = middle + 1
    else high = middle
  }
  return low
}

function reason(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'no such file'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case undefined:
      return error.message
    default:
      return `${error.code}`
  }
}
