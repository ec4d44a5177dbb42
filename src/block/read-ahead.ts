import { type BlockSource, type Completion, type Extent, assertRange } from './source.ts'

export interface ReadAheadOptions {
  /** How far ahead of a reader the source is warned at most, in bytes. */
  readonly mostBytes: number
}

/** A reader that goes through the source from a lower to a higher offset. */
interface Stream {
  /** Where it will go on. */
  next: number
  /** What it has read in sequence, in bytes. */
  run: number
  /** Up to where the source was warned. */
  warnedTo: number
}

/** A boot has a handful of readers at a time; the one that was not heard of for longest is forgotten. */
const MOST_STREAMS = 16
/** A reader may leave this out and still be the same. */
const GAP_BYTES = 64 * 1024
/** A reader that took less in sequence is none. */
const LEAST_RUN_BYTES = 128 * 1024

/**
 * Sees who reads in sequence, and tells the source what they will read next, as much as they have
 * read already. It looks at guest offsets: in an image that was written piece by piece, what is one
 * file for the guest is scattered over the file that holds it.
 */
export class ReadAhead implements BlockSource {
  readonly #base: BlockSource
  readonly #options: ReadAheadOptions
  /** The one heard of last is the last. */
  readonly #streams: Stream[] = []

  constructor(base: BlockSource, options: ReadAheadOptions) {
    this.#base = base
    this.#options = options
  }

  get size(): number {
    return this.#base.size
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    const stream = this.#streamOf(offset, target.length)
    const reading = this.#base.read(target, offset)
    if (stream.run >= LEAST_RUN_BYTES) this.#warn(stream)
    return reading
  }

  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }

  prefetch(offset: number, length: number): void {
    this.#base.prefetch?.(offset, length)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#base[Symbol.asyncDispose]()
  }

  #streamOf(offset: number, length: number): Stream {
    const end = offset + length
    const index = this.#streams.findLastIndex(
      ({ next }) => offset <= next + GAP_BYTES && end > next && offset + GAP_BYTES >= next,
    )
    const [known] = index < 0 ? [] : this.#streams.splice(index, 1)
    const stream = known ?? { next: offset, run: 0, warnedTo: 0 }
    stream.run += end - Math.max(stream.next, offset)
    stream.next = end
    stream.warnedTo = Math.max(stream.warnedTo, end)
    this.#streams.push(stream)
    if (this.#streams.length > MOST_STREAMS) this.#streams.shift()
    return stream
  }

  #warn(stream: Stream): void {
    const ahead = Math.min(stream.run, this.#options.mostBytes)
    const to = Math.min(stream.next + ahead, this.size)
    // In steps, so that what is fetched is worth a request.
    if (
      to - stream.warnedTo < Math.min(ahead / 2, this.size - stream.warnedTo) ||
      to <= stream.warnedTo
    )
      return
    this.#base.prefetch?.(stream.warnedTo, to - stream.warnedTo)
    stream.warnedTo = to
  }
}
