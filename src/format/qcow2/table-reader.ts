import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import { readClamped } from '../clamped.ts'

const WINDOW_BYTES = 64 * 1024

/** Reads entries of variable length one after the other, a window of the source at a time. */
export class TableReader {
  readonly #source: BlockSource
  readonly #end: number
  #window: Uint8Array = new Uint8Array(0)
  #windowAt = 0
  #at: number

  /** What lies past the end of the source reads as zeroes; past `offset + limit` is refused. */
  constructor(source: BlockSource, offset: number, limit: number) {
    this.#source = source
    this.#at = offset
    this.#end = offset + limit
  }

  /** Where the next read begins. */
  get offset(): number {
    return this.#at
  }

  async read(length: number): Promise<Uint8Array> {
    const at = this.#at
    if (at + length > this.#end)
      throw new ImageInvalid('a table is longer than it may be', {
        where: { offset: at, length, end: this.#end },
      })
    const within = at - this.#windowAt
    this.#at += length
    if (within + length <= this.#window.length)
      return this.#window.subarray(within, within + length)
    this.#window = await readClamped(this.#source, at, Math.max(length, WINDOW_BYTES))
    this.#windowAt = at
    return this.#window.subarray(0, length)
  }

  /** Skips bytes that nobody wants, and then up to a multiple of `alignment`. */
  skip(length: number, alignment = 1): void {
    this.#at = Math.ceil((this.#at + length) / alignment) * alignment
  }
}
