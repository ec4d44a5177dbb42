import assert from 'node:assert/strict'
import { Arrival, fetched } from './arrival.ts'
import { ByteCache } from './byte-cache.ts'
import type { CacheCounters } from './cache-counters.ts'
import { type Clock, systemClock } from './clock.ts'
import { Heat } from './heat.ts'
import { Hints } from './hints.ts'
import { settled } from './settled.ts'
import { type BlockSource, type Completion, type Extent, assertRange } from './source.ts'
import { type Allowance, type LinkSpeed, allowance } from './speculation.ts'
import { Waste } from './waste.ts'

export interface CacheOptions {
  /** How many bytes of blocks are kept. One block is kept always. */
  readonly limitBytes: number
  /** The unit of fetching and keeping; a multiple of 512 bytes. */
  readonly blockBytes: number
  /**
   * Neighbouring blocks are fetched by one read that crosses no multiple of this, so that caches on
   * the way, which keep slices of a file, find each read in one of them.
   */
  readonly fetchBytes: number
  /** Reads that nobody has asked for, at once; 0 for none. */
  readonly speculativeReads: number
  /** Asked before each speculation; undefined as long as nothing is known. */
  readonly speed?: () => LinkSpeed | undefined
  readonly clock?: Clock
}

/** Of the cache, what a window may take at most. */
const WINDOW_SHARE = 1 / 8
/** Hints that are remembered until there is time for them, in blocks. */
const MOST_HINTS = 128
/** What is fetched at once of what is hinted at, where a link is too slow for speculation. */
const LEAST_HINT_BYTES = 128 * 1024

/**
 * Keeps aligned blocks of a slow source, up to a limit of bytes. A block that is being fetched is
 * waited for, as far as it is wanted, and never fetched twice; a fetch that failed is forgotten.
 *
 * What is read at the same moment is fetched together, neighbours by one read. What nobody has
 * asked for is fetched beside it, hints first and then where much was read (heat.ts), as far as the
 * link has room for it that would be wasted (speculation.ts), and as long as not too much of it was for
 * nothing.
 */
export class BlockCache implements BlockSource {
  readonly #base: BlockSource
  readonly #options: CacheOptions
  readonly #blocks: ByteCache<Uint8Array>
  readonly #heat: Heat
  /** Misses of this moment, fetched together at its end. */
  #missing: Arrival[] = []
  readonly #arriving = new Map<number, Arrival>()
  readonly #hints = new Hints(MOST_HINTS)
  #underwayBytes = 0
  #speculativeReads = 0
  readonly #waste: Waste
  /** There is nowhere to speculate before so much was read. */
  #coldUntilBytes = 0
  readonly #closing = new AbortController()
  #fetches = 0
  #fetchedBytes = 0
  #readBytes = 0

  constructor(base: BlockSource, options: CacheOptions) {
    const { blockBytes, fetchBytes } = options
    assert(blockBytes % 512 === 0 && blockBytes > 0 && fetchBytes % blockBytes === 0)
    this.#base = base
    this.#options = options
    this.#heat = new Heat(blockBytes)
    this.#waste = new Waste(blockBytes, options.limitBytes * WINDOW_SHARE)
    this.#blocks = new ByteCache(options.limitBytes, (block) => {
      this.#heat.forget(block)
      this.#waste.dropped(block)
    })
  }

  get size(): number {
    return this.#base.size
  }

  get counters(): CacheCounters {
    return {
      limitBytes: this.#options.limitBytes,
      heldBytes: this.#blocks.heldBytes,
      fetches: this.#fetches,
      fetchedBytes: this.#fetchedBytes,
      speculativeBytes: this.#waste.speculativeBytes,
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
    const end = offset + target.length
    this.#readBytes += target.length
    const waits: Promise<void>[] = []
    let fresh = false
    for (let at = offset; at < end;) {
      const block = Math.floor(at / blockBytes)
      const start = block * blockBytes
      const to = Math.min(end, start + blockBytes)
      if (this.#heat.touch(block, at - start, to - start)) fresh = true
      this.#waste.redeem(block)
      const part = target.subarray(at - offset, to - offset)
      const from = at - start
      const copy = (bytes: Uint8Array) => part.set(bytes.subarray(from, from + part.length))
      const held = this.#blocks.get(block)
      if (held === undefined)
        waits.push(
          this.#coming(block)
            .until(to - start)
            .then(copy),
        )
      else copy(held)
      at = to
    }
    if (waits.length > 0) return settled(waits)
    if (fresh) this.#speculate()
    return undefined
  }

  /** Fetches the bytes beside what is asked for, when there is time. */
  prefetch(offset: number, length: number): void {
    assertRange(this.size, offset, length)
    const { blockBytes } = this.#options
    const end = Math.ceil((offset + length) / blockBytes)
    for (let block = Math.floor(offset / blockBytes); block < end; block++) {
      if (!this.#blocks.has(block)) this.#hints.add(block)
    }
    // What is asked for in the same moment goes first.
    if (this.#missing.length === 0) this.#speculate()
  }

  extent(offset: number, length: number): Promise<Extent> {
    return this.#base.extent(offset, length)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    return this.#base[Symbol.asyncDispose]()
  }

  #coming(block: number): Arrival {
    const arriving = this.#arriving.get(block)
    if (arriving !== undefined) return arriving
    // Behind all that runs without waiting, which is where neighbours are asked for.
    if (this.#missing.length === 0)
      queueMicrotask(() => process.nextTick(() => this.#fetchMissing()))
    const arrival = this.#announce(block)
    this.#missing.push(arrival)
    return arrival
  }

  #announce(block: number): Arrival {
    const arrival = new Arrival(block)
    this.#arriving.set(block, arrival)
    const over = () => {
      if (this.#arriving.get(block) === arrival) this.#arriving.delete(block)
    }
    // Whoever wants this block takes the failure; perhaps nobody does.
    this.#blocks.promise(block, arrival.whole).then(over, () => {
      over()
      this.#heat.forget(block)
      this.#waste.redeem(block)
    })
    this.#hints.delete(block)
    return arrival
  }

  #fetchMissing(): void {
    const { speed, blockBytes } = this.#options
    const link = speed?.()
    const allowed = allowance(link, blockBytes)
    const asked = this.#missing
    this.#missing = []
    const around = asked.flatMap(({ block }) => this.#around(block, allowed))
    const missing = [...asked, ...around].toSorted((a, b) => a.block - b.block)
    for (const run of this.#runs(missing)) void this.#fetch(run)
    // Whoever hints at something from now on looks for room himself.
    if (allowed.windowBytes === 0 && this.#hints.isEmpty) return
    const bytesPerMs = link?.bytesPerMs
    void this.#afterwards(bytesPerMs === undefined ? 0 : (missing.length * blockBytes) / bytesPerMs)
  }

  /** The other blocks of the window of a block that is asked for, announced, if they are affordable. */
  #around(block: number, { demandBytes, demandWasteShare }: Allowance): Arrival[] {
    const { blockBytes, limitBytes } = this.#options
    if (demandBytes <= blockBytes || demandBytes > limitBytes * WINDOW_SHARE) return []
    const count = demandBytes / blockBytes
    const blocks = this.#lacking(Math.floor(block / count), count)
    if (!this.#affords(blocks.length, demandWasteShare)) return []
    return this.#unasked(blocks)
  }

  /** Announces blocks that nobody has asked for. */
  #unasked(blocks: readonly number[]): Arrival[] {
    for (const block of blocks) this.#waste.risk(block)
    return blocks.map((block) => this.#announce(block))
  }

  /** Speculates so much later that what was asked for has the link to itself. */
  async #afterwards(ms: number): Promise<void> {
    const { clock = systemClock } = this.#options
    if (ms >= 1) await clock.sleep(ms, this.#closing.signal).catch(() => {})
    this.#speculate()
  }

  /** Neighbours together, as far as one read may go. */
  #runs(blocks: readonly Arrival[]): Arrival[][] {
    const most = this.#options.fetchBytes / this.#options.blockBytes
    const runs: Arrival[][] = []
    for (const arrival of blocks) {
      const run = runs.at(-1)
      const last = run?.at(-1)?.block
      if (run && last === arrival.block - 1 && arrival.block % most !== 0) run.push(arrival)
      else runs.push([arrival])
    }
    return runs
  }

  /** Whether it came; never rejects. */
  async #fetch(run: readonly Arrival[]): Promise<boolean> {
    const { blockBytes } = this.#options
    const start = run[0]!.block * blockBytes
    const length = Math.min(run.length * blockBytes, this.size - start)
    this.#fetches++
    this.#fetchedBytes += length
    this.#underwayBytes += length
    const came = await fetched(this.#base, run, blockBytes, new Uint8Array(length))
    this.#underwayBytes -= length
    return came
  }

  /** Fetches what is likely to be wanted, as far as the link, the budget and the cache have room. */
  #speculate(): void {
    const { speed, speculativeReads, blockBytes } = this.#options
    if (this.#closing.signal.aborted || this.#speculativeReads >= speculativeReads) return
    const allowed = allowance(speed?.(), blockBytes)
    while (this.#speculativeReads < speculativeReads) {
      const blocks = this.#hinted(allowed) ?? this.#warm(allowed)
      if (blocks === undefined) return
      for (const run of this.#runs(this.#unasked(blocks))) {
        this.#speculativeReads++
        void this.#fetch(run).then((came) => {
          this.#speculativeReads--
          // After a failure the next read decides.
          if (came) this.#speculate()
        })
      }
    }
  }

  #hinted({ windowBytes, underwayBytes, wasteShare }: Allowance): number[] | undefined {
    const { blockBytes, limitBytes } = this.#options
    const room = Math.max(underwayBytes, LEAST_HINT_BYTES)
    const most = Math.min(Math.max(2 * windowBytes, LEAST_HINT_BYTES), limitBytes * WINDOW_SHARE)
    if (this.#underwayBytes + most > room || most < blockBytes) return undefined
    const blocks = this.#hints.run(Math.floor(most / blockBytes))
    if (blocks.length === 0) return undefined
    return this.#affords(blocks.length, wasteShare) ? blocks : undefined
  }

  #affords(blocks: number, wasteShare: number): boolean {
    return this.#waste.affords(blocks, wasteShare * this.#heat.readBytes)
  }

  #warm({ windowBytes, underwayBytes, wasteShare }: Allowance): number[] | undefined {
    const { blockBytes, limitBytes } = this.#options
    if (windowBytes === 0 || windowBytes > limitBytes * WINDOW_SHARE) return undefined
    if (this.#underwayBytes + windowBytes > underwayBytes) return undefined
    if (!this.#affords(windowBytes / blockBytes, wasteShare)) return undefined
    // Nothing was lacking the last time, and little has changed.
    if (this.#heat.readBytes < this.#coldUntilBytes) return undefined
    const count = windowBytes / blockBytes
    const window = this.#heat.hottest(count, (window) => this.#lacking(window, count).length > 0)
    if (window !== undefined) return this.#lacking(window, count)
    this.#coldUntilBytes = this.#heat.readBytes + blockBytes
    return undefined
  }

  #lacking(window: number, count: number): number[] {
    const end = Math.min((window + 1) * count, Math.ceil(this.size / this.#options.blockBytes))
    const blocks: number[] = []
    for (let block = window * count; block < end; block++)
      if (!this.#blocks.has(block)) blocks.push(block)
    return blocks
  }
}
