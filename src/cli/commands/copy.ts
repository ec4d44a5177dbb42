import { readBuffer } from '../../block/read-buffer.ts'
import { type BlockSource, type Extent, extents } from '../../block/source.ts'
import { openWithFiles } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { asking } from '../passphrase.ts'
import { imagePlan } from '../plan.ts'
import { Progress } from '../progress.ts'
import { openSink } from '../sink.ts'

const PIECE_BYTES = 2 * 1024 * 1024
/** Pieces being read while the one before them is written; they bound the memory of a copy. */
const PIECES_AHEAD = 5

export const copy: Command = {
  name: 'copy',
  summary: 'write the raw bytes of an image to a file, sparse, a disk, or standard output (-)',
  details: [
    'A file gets holes where the image has nothing, a disk gets every byte. A progress bar is shown on a terminal.',
  ],
  operands: ['IMAGE', 'OUT|-'],
  options: IMAGE_OPTIONS,
  run: runCopy,
}

async function runCopy({ operands: [image = '', out = ''], options, terminal }: Call) {
  const plan = asking(await imagePlan(image, options), terminal)
  const opened = await openWithFiles(plan, (line) => terminal.say('warn', line))
  await using source = opened.source
  await using sink = await openSink(out, opened.files, terminal)
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
