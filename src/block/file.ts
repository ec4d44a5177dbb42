import { constants, readSync } from 'node:fs'
import { type FileHandle, access, open, stat } from 'node:fs/promises'
import { SourceRefused, SourceUnavailable, isNetcowError, reasonOf } from '../errors.ts'
import {
  type BlockSource,
  type CachedPiece,
  type Completion,
  type Extent,
  assertRange,
} from './source.ts'

/** What Node does not have of the kernel's calls. None of them waits for what the file has in it. */
export interface FileCalls {
  /** Reads what memory holds of a file, at most all of `target`; returns how many bytes that were. */
  readCached(fd: number, target: Uint8Array, offset: number): number
  /** Makes a file known to `holds`, under a number that is not 0; 0 where that is not possible. */
  mapFile(fd: number, size: number): bigint
  /** Whether memory holds all of a range, as far as the kernel tells. */
  holds(mapping: bigint, offset: number, length: number): boolean
  unmapFile(mapping: bigint, size: number): void
  /** Where from `offset` on the next data or the next hole begins; negative if it finds none. */
  seek(fd: number, offset: number, what: 'data' | 'hole'): number
}

const NONE: FileCalls = {
  readCached: () => 0,
  mapFile: () => 0n,
  holds: () => false,
  unmapFile: () => {},
  seek: () => -1,
}

/** More than this is read by another thread, which copies while this one does something else. */
const MOST_AT_ONCE_BYTES = 256 * 1024

/**
 * A local file or block device, only read. What the page cache holds is answered at once: the way
 * to another thread and back costs several times as much as copying a few pages. What it does not
 * hold is waited for on another thread, never on this one.
 */
export class FileSource implements BlockSource {
  readonly size: number
  readonly #path: string
  readonly #handle: FileHandle
  readonly #calls: FileCalls
  /** Undefined as long as nobody has asked; 0 where there is none. */
  #mapping: bigint | undefined
  /** Where the last data was that was asked for. */
  #data: { readonly start: number; readonly end: number } = { start: 0, end: 0 }

  private constructor(
    path: string,
    handle: FileHandle,
    { size, isOurs }: { readonly size: number; readonly isOurs: boolean },
    calls: FileCalls,
  ) {
    this.#path = path
    this.#handle = handle
    this.#calls = calls
    this.size = size
    if (!isOurs || size === 0) this.#mapping = 0n
  }

  /** Throws `SourceRefused` for what is missing, unreadable, or neither a file nor a disk. */
  static async open(path: string, calls: FileCalls = NONE): Promise<FileSource> {
    const handle = await opened(path).catch((error: NodeJS.ErrnoException) => {
      if (isNetcowError(error)) throw error
      throw new SourceRefused(`cannot open the image: ${reasonOf(error)}`, {
        where: { path },
        cause: error,
      })
    })
    try {
      return new FileSource(path, handle, await seen(handle, path), calls)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    if (target.length > MOST_AT_ONCE_BYTES) return this.#readLater(target, offset, 0)
    const held = this.#calls.readCached(this.#handle.fd, target, offset)
    return held === target.length ? undefined : this.#readLater(target, offset, held)
  }

  /** Reads what is missing behind the `done` bytes that are there. */
  async #readLater(target: Uint8Array, offset: number, done: number): Promise<void> {
    while (done < target.length) {
      const at = offset + done
      const { bytesRead } = await this.#handle
        .read(target, done, target.length - done, at)
        .catch((error: NodeJS.ErrnoException) => {
          throw this.#unreadable(error, at)
        })
      if (bytesRead === 0) throw this.#shorter(at)
      done += bytesRead
    }
  }

  cached(offset: number, length: number): CachedPiece | undefined {
    assertRange(this.size, offset, length)
    const { fd } = this.#handle
    this.#mapping ??= this.#calls.mapFile(fd, this.size)
    if (this.#mapping === 0n || !this.#calls.holds(this.#mapping, offset, length)) return undefined
    if (!this.#isData(offset, length)) return undefined
    return { fd, offset, readNow: (target, at) => this.#readNow(target, at) }
  }

  /** To find the end of data the file system may have to go through all of the file. */
  #isData(offset: number, length: number): boolean {
    const { start, end } = this.#data
    if (offset < start || offset >= end) {
      const hole = this.#calls.seek(this.#handle.fd, offset, 'hole')
      // As for `extent`: who cannot tell has no holes.
      this.#data = hole < 0 ? { start: 0, end: this.size } : { start: offset, end: hole }
    }
    return offset + length <= this.#data.end
  }

  #readNow(target: Uint8Array, offset: number): void {
    for (let done = 0; done < target.length;) {
      const length = this.#readSome(target.subarray(done), offset + done)
      if (length === 0) throw this.#shorter(offset + done)
      done += length
    }
  }

  #readSome(target: Uint8Array, offset: number): number {
    try {
      return readSync(this.#handle.fd, target, 0, target.length, offset)
    } catch (error) {
      throw this.#unreadable(error as NodeJS.ErrnoException, offset)
    }
  }

  #unreadable(cause: NodeJS.ErrnoException, offset: number): SourceUnavailable {
    const where = { path: this.#path, offset }
    return new SourceUnavailable(`cannot read the image: ${reasonOf(cause)}`, { where, cause })
  }

  #shorter(offset: number): SourceUnavailable {
    return new SourceUnavailable('the image file has become shorter', {
      where: { path: this.#path, offset, size: this.size },
    })
  }

  /** What the file system does not hold of a file are zeroes. */
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    const seek = (what: 'data' | 'hole') => this.#calls.seek(this.#handle.fd, offset, what)
    // The end of a file is one of its holes, so that only one who cannot tell finds none.
    const hole = seek('hole')
    if (hole > offset) return { kind: 'data', length: Math.min(hole - offset, length), depth: 1 }
    if (hole < 0) return { kind: 'data', length, depth: 1 }
    const data = seek('data')
    return { kind: 'zero', length: data < 0 ? length : Math.min(data - offset, length), depth: 1 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    const mapping = this.#mapping ?? 0n
    this.#mapping = 0n
    if (mapping !== 0n) this.#calls.unmapFile(mapping, this.size)
    return this.#handle.close()
  }
}

/** To open a pipe, which is no image, is to wait for somebody who writes into it. */
async function opened(path: string): Promise<FileHandle> {
  if ((await stat(path)).isFIFO()) throw notAnImage(path)
  return open(path)
}

/** How large it is, and whether the kernel tells us what memory has of it. */
async function seen(handle: FileHandle, path: string): Promise<{ size: number; isOurs: boolean }> {
  const stats = await handle.stat()
  const isOurs = stats.uid === process.geteuid?.() || (await mayWrite(path))
  if (stats.isFile()) return { size: stats.size, isOurs }
  if (stats.isBlockDevice()) return { size: await blockDeviceSize(handle), isOurs }
  throw notAnImage(path)
}

function notAnImage(path: string): SourceRefused {
  return new SourceRefused('the image is neither a file nor a block device', { where: { path } })
}

function mayWrite(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** Bisects for the last readable byte: Node has no lseek, and sysfs is not everywhere. */
export async function blockDeviceSize(handle: FileHandle): Promise<number> {
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
