import { type FileHandle, open } from 'node:fs/promises'
import { readBuffer } from '../../block/read-buffer.ts'
import { type BlockSource, type Extent, extents } from '../../block/source.ts'
import { UsageError } from '../../errors.ts'
import { openForReading } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { asking } from '../passphrase.ts'
import { imagePlan } from '../plan.ts'
import { Progress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'

const PIECE_BYTES = 2 * 1024 * 1024
/** Pieces being read while the one before them is written; they bound the memory of a copy. */
const PIECES_AHEAD = 5

export const copy: Command = {
  name: 'copy',
  summary: 'write the raw bytes of an image to a file, sparse, or to standard output (-)',
  operands: ['IMAGE', 'OUT|-'],
  options: IMAGE_OPTIONS,
  run: runCopy,
}

async function runCopy({ operands: [image = '', out = ''], options, terminal }: Call) {
  const plan = asking(await imagePlan(image, options), terminal)
  await using source = await openForReading(plan, (line) => terminal.say('warn', line))
  await using sink = out === '-' ? new StandardOutput(terminal) : await SparseFile.create(out)
  using progress = new Progress(terminal, source.size)
  for await (const piece of piecesAhead(source)) {
    await sink.put(piece.kind === 'data' ? await piece.bytes : undefined, piece.length)
    progress.advance(piece.length)
  }
  await sink.finish()
  return 0
}

/** Its bytes are lent until the next piece is asked for. */
type Piece =
  | { readonly kind: 'data'; readonly length: number; readonly bytes: Promise<Uint8Array> }
  | { readonly kind: 'zero'; readonly length: number }

/** Starts reading some pieces before they are asked for, so that reading and writing overlap. */
async function* piecesAhead(source: BlockSource): AsyncGenerator<Piece> {
  const waiting: Piece[] = []
  const buffers = Array.from({ length: PIECES_AHEAD + 1 }, () => readBuffer(PIECE_BYTES))
  let pieces = 0
  if (source.size === 0) return
  for await (const extent of extents(source)) {
    for (const part of cut(extent)) {
      waiting.push(begun(source, part, buffers[pieces++ % buffers.length]!))
      if (waiting.length > PIECES_AHEAD) yield waiting.shift()!
    }
  }
  yield* waiting
}

function* cut(extent: Extent & { offset: number }): Generator<Extent & { offset: number }> {
  const most = extent.kind === 'data' ? PIECE_BYTES : extent.length
  const end = extent.offset + extent.length
  for (let offset = extent.offset; offset < end; offset += most)
    yield { ...extent, offset, length: Math.min(most, end - offset) }
}

function begun(
  source: BlockSource,
  { kind, offset, length }: Extent & { offset: number },
  buffer: Uint8Array,
): Piece {
  if (kind !== 'data') return { kind: 'zero', length }
  const target = buffer.subarray(0, length)
  const bytes = Promise.resolve(source.read(target, offset)).then(() => target)
  // It is awaited later, and a failure before that must not count as unhandled.
  bytes.catch(() => {})
  return { kind, length, bytes }
}

/** Takes the bytes of the guest in order; undefined stands for zeroes. */
interface Sink extends AsyncDisposable {
  put(bytes: Uint8Array | undefined, length: number): Promise<void>
  finish(): Promise<void>
}

class SparseFile implements Sink {
  readonly #handle: FileHandle
  readonly #path: string
  #at = 0

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.#path = path
  }

  static async create(path: string): Promise<SparseFile> {
    try {
      return new SparseFile(await open(path, 'w'), path)
    } catch (error) {
      throw unwritable(path, error)
    }
  }

  async put(bytes: Uint8Array | undefined, length: number): Promise<void> {
    try {
      if (bytes !== undefined) await this.#handle.writev([bytes], this.#at)
    } catch (error) {
      throw unwritable(this.#path, error)
    }
    this.#at += length
  }

  /** What was skipped at the end becomes a hole. */
  async finish(): Promise<void> {
    // A device, such as /dev/null, has the size it has.
    if ((await this.#handle.stat()).isFile()) await this.#handle.truncate(this.#at)
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
    if (bytes !== undefined) return this.#terminal.out(bytes)
    const zeroes = new Uint8Array(Math.min(length, PIECE_BYTES))
    for (let left = length; left > 0; left -= zeroes.length) {
      await this.#terminal.out(zeroes.subarray(0, left))
    }
  }
  async finish(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

function unwritable(path: string, cause: unknown): UsageError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new UsageError(`cannot write the copy: ${reason}`, { where: { path }, cause })
}
