import { type FileHandle, constants, open, stat } from 'node:fs/promises'
import { UsageError } from '../errors.ts'
import type { Terminal } from './terminal.ts'
import { unwritten, writeAll } from './write-all.ts'

/** Takes the bytes of a disk in order, for what the user named as the place of a copy. */
export interface Sink extends AsyncDisposable {
  /** The next `length` bytes; undefined stands for zeroes. They are lent until this resolves. */
  put(bytes: Uint8Array | undefined, length: number): Promise<void>
  /** Nothing more comes. */
  finish(): Promise<void>
}

/**
 * A file is written sparse, everything else whole. Throws `UsageError` for what cannot be written, and
 * for one of `sources`, which the copy is made of: to open it is to empty it.
 */
export async function openSink(
  out: string,
  sources: readonly string[],
  terminal: Terminal,
): Promise<Sink> {
  if (out === '-') return new StandardOutput(terminal)
  for (const path of sources)
    if (await areSame(path, out))
      throw new UsageError('the image cannot be copied over itself', { where: { path: out } })
  const handle = await opened(out, 'w')
  const stats = await handle.stat()
  if (stats.isFile()) return new SparseFile(out, handle)
  if (!stats.isBlockDevice()) return new Device(out, handle, false)
  await handle.close()
  // Refused by the kernel for what is mounted, or in use in another way.
  return new Device(out, await opened(out, constants.O_WRONLY | constants.O_EXCL), true)
}

/** Whether both names are of one file, or of one disk. */
async function areSame(one: string, other: string): Promise<boolean> {
  const [left, right] = await Promise.all([one, other].map((path) => stat(path).catch(() => {})))
  if (!left || !right) return false
  if (left.isBlockDevice() && right.isBlockDevice()) return left.rdev === right.rdev
  return left.dev === right.dev && left.ino === right.ino
}

function opened(path: string, flags: string | number): Promise<FileHandle> {
  return open(path, flags).catch((error: unknown) => unwritable(path, error))
}

class SparseFile implements Sink {
  readonly #path: string
  readonly #handle: FileHandle
  #at = 0

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  async put(bytes: Uint8Array | undefined, length: number): Promise<void> {
    try {
      if (bytes !== undefined) await this.#write(bytes)
    } catch (error) {
      unwritable(this.#path, error)
    }
    this.#at += length
  }

  /** A call that writes less than all, as on a disk that is full, fails only when it is repeated. */
  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const left = bytes.length - done
      done += (await this.#handle.write(bytes, done, left, this.#at + done)).bytesWritten
    }
  }

  /** What was skipped at the end becomes a hole. */
  async finish(): Promise<void> {
    await this.#handle.truncate(this.#at).catch((error: unknown) => unwritable(this.#path, error))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close()
  }
}

/**
 * A disk holds something already where the copy has zeroes, and a pipe has no places: they get
 * every byte. They are written to at once, as standard output is in Node: the way to another thread
 * takes longer than what /dev/null and a pipe need, and what comes next is read meanwhile.
 */
class Device implements Sink {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #isDisk: boolean

  constructor(path: string, handle: FileHandle, isDisk: boolean) {
    this.#path = path
    this.#handle = handle
    this.#isDisk = isDisk
  }

  async put(bytes: Uint8Array | undefined, length: number): Promise<void> {
    try {
      const pieces = bytes === undefined ? zeroes(length) : [bytes]
      for (const piece of pieces) writeAll(this.#handle.fd, piece)
    } catch (error) {
      unwritable(this.#path, error)
    }
  }

  /** A disk says only then that it could not keep what was written. */
  async finish(): Promise<void> {
    if (!this.#isDisk) return
    await this.#handle.sync().catch((error: unknown) => unwritable(this.#path, error))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close()
  }
}

class StandardOutput implements Sink {
  readonly #terminal: Terminal

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  async put(bytes: Uint8Array | undefined, length: number): Promise<void> {
    for (const piece of bytes === undefined ? zeroes(length) : [bytes])
      await this.#terminal.out(piece)
  }

  async finish(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

const ZEROES = new Uint8Array(1024 * 1024)

function* zeroes(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROES.length) yield ZEROES.subarray(0, left)
}

function unwritable(path: string, cause: unknown): never {
  throw unwritten('the copy', cause, { path })
}
