import assert from 'node:assert/strict'
import { ByteCache } from './byte-cache.ts'
import { type BlockSource, type Completion, type Extent, assertRange } from './source.ts'

export interface CacheOptions {
  /** How many bytes of blocks are kept. One block is kept always. */
  readonly limitBytes: number
  /** The unit of fetching and keeping; blocks are aligned to it so that caches on the way can keep them. */
  readonly blockBytes: number
  /** Neighbouring missing blocks are fetched by one read of at most this length. */
  readonly fetchBytes: number
}

/** What a cache did so far. */
export interface CacheCounters {
  readonly fetches: number
  readonly fetchedBytes: number
  readonly readBytes: number
}

/**
 * Keeps aligned blocks of a slow source, up to a limit of bytes. A block that is being fetched is
 * waited for and never fetched twice; a fetch that failed is forgotten.
 */
export class BlockCache implements BlockSource {
  readonly #base: BlockSource
  readonly #options: CacheOptions
  readonly #blocks: ByteCache<Uint8Array>
  #fetches = 0
  #fetchedBytes = 0
  #readBytes = 0

  constructor(base: BlockSource, options: CacheOptions) {
    assert(options.blockBytes >= 512 && options.fetchBytes >= options.blockBytes)
    this.#base = base
    this.#options = options
    this.#blocks = new ByteCache(options.limitBytes)
  }

  get size(): number {
    return this.#base.size
  }

  get counters(): CacheCounters {
    return {
      fetches: this.#fetches,
      fetchedBytes: this.#fetchedBytes,
      readBytes: this.#readBytes,
    }
  }

  /** Keeps bytes that came by the way, as far as they make whole blocks. */
  seed(bytes: Uint8Array, offset: number): void {
    assertRange(this.size, offset, bytes.length)
    const { blockBytes } = this.#options
    for (let block = Math.ceil(offset / blockBytes); ; block++) {
      const start = block * blockBytes
      const end = Math.min(start + blockBytes, this.size)
      if (start >= end || end > offset + bytes.length) break
      this.#blocks.put(block, bytes.slice(start - offset, end - offset))
    }
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    const { blockBytes } = this.#options
    const first = Math.floor(offset / blockBytes)
    const last = Math.floor((offset + target.length - 1) / blockBytes)
    this.#readBytes += target.length
    const waits: Promise<void>[] = []
    const copy = (block: number, bytes: Uint8Array) => {
      const start = block * blockBytes
      const from = Math.max(offset, start)
      const to = Math.min(offset + target.length, start + bytes.length)
      target.set(bytes.subarray(from - start, to - start), from - offset)
    }
    for (let block = first; block <= last; block++) {
      const held = this.#blocks.get(block)
      if (held !== undefined) {
        copy(block, held)
        continue
      }
      const coming = this.#blocks.pending(block) ?? this.#fetch(block, last)
      waits.push(coming.then((bytes) => copy(block, bytes)))
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined)
  }

  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#base[Symbol.asyncDispose]()
  }

  /** Fetches `first` and the missing blocks behind it up to `last` by one read. */
  #fetch(first: number, last: number): Promise<Uint8Array> {
    const { blockBytes, fetchBytes } = this.#options
    const most = Math.floor(fetchBytes / blockBytes)
    let end = first + 1
    while (end <= last && end - first < most && !this.#blocks.has(end)) end++
    const start = first * blockBytes
    const buffer = new Uint8Array(Math.min(end * blockBytes, this.size) - start)
    this.#fetches++
    this.#fetchedBytes += buffer.length
    const whole = Promise.resolve(this.#base.read(buffer, start))
    if (end === first + 1)
      return this.#blocks.promise(
        first,
        whole.then(() => buffer),
      )
    for (let block = first + 1; block < end; block++) {
      const part = this.#blocks.promise(
        block,
        whole.then(() => partOf(buffer, block - first, blockBytes)),
      )
      // Whoever wants this block takes the failure too; nobody may.
      part.catch(() => {})
    }
    return this.#blocks.promise(
      first,
      whole.then(() => partOf(buffer, 0, blockBytes)),
    )
  }
}

/** A copy, so that a dropped block frees its bytes although its neighbours are kept. */
function partOf(buffer: Uint8Array, index: number, blockBytes: number): Uint8Array {
  return buffer.slice(index * blockBytes, (index + 1) * blockBytes)
}
