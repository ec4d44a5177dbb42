import {
  type BlockSource,
  type CachedPiece,
  type Completion,
  type Extent,
  assertRange,
} from '../block/source.ts'
import { isNetcowError } from '../errors.ts'
import { type Tell, cutOff } from './cut-off.ts'
import { Flight } from './flight.ts'
import type { Layout, Mapping, OpenFormat } from './format.ts'

/**
 * How many runs of one read are under way at once. It bounds what a single large read of a
 * fragmented or compressed image holds in memory; 16 keeps every core and connection busy.
 */
const RUNS_AT_ONCE = 16

/** What a run of bytes is, and which layer says so. */
export interface Place {
  readonly kind: 'data' | 'packed' | 'zero' | 'hole'
  readonly length: number
  /** 0 is this image, 1 the one below it. A hole is where the lowest layer asked has one. */
  readonly layer: number
  /** Where in the file of that layer the bytes stand, or would. */
  readonly offset?: number
}

/** Reads the bytes that a format locates. The only loop of its kind. */
export class Image implements BlockSource {
  readonly size: number
  readonly #layout: Layout
  readonly #below: BlockSource | undefined
  readonly #sources: AsyncDisposable
  #tell: Tell | undefined

  constructor({ layout, below, sources }: OpenFormat, tell?: Tell) {
    this.size = layout.size
    this.#layout = layout
    this.#below = below
    this.#sources = sources
    this.#tell = tell
  }

  read(target: Uint8Array, offset: number): Completion {
    assertRange(this.size, offset, target.length)
    try {
      const mapping = this.#layout.locate(offset, target.length)
      if (mapping instanceof Promise || mapping.length < target.length)
        return this.#readRuns(target, offset, mapping)
      return this.#fill(target, offset, mapping)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Neighbouring runs of one kind are one extent, as far as the tables in memory tell. */
  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    const first = await this.#layout.locate(offset, length)
    if (first.kind === 'hole') return this.#extentBelow(offset, first.length)
    if (first.kind === 'data' && first.sparse)
      return first.source.extent(first.offset, first.length)
    this.#notice(first)
    const kind = first.kind === 'zero' ? 'zero' : 'data'
    let total = first.length
    while (total < length) {
      const next = this.#layout.locate(offset + total, length - total)
      if (next instanceof Promise) break
      if (next.kind === 'hole' || (next.kind === 'zero') !== (kind === 'zero')) break
      this.#notice(next)
      total += next.length
    }
    return { kind, length: total, depth: 1 }
  }

  /** The same as `extent`, one mapping at a time, with what a map of the image shows. */
  async place(offset: number, length: number): Promise<Place> {
    assertRange(this.size, offset, length)
    const mapping = await this.#layout.locate(offset, length)
    this.#notice(mapping)
    const { kind, length: run, offset: at } = await placed(mapping)
    const held = Math.min((this.#below?.size ?? 0) - offset, run)
    if (kind !== 'hole' || held <= 0 || !this.#below)
      return { kind, length: run, layer: 0, ...(at !== undefined && { offset: at }) }
    const below = await placeIn(this.#below, offset, held)
    return { ...below, layer: below.layer + 1 }
  }

  /** As far as the tables are in memory, or come on the way. */
  prefetch(offset: number, length: number): void {
    assertRange(this.size, offset, length)
    this.#prefetchRuns(offset, length).catch(() => {
      // Whoever reads there will be told.
    })
  }

  cached(offset: number, length: number): CachedPiece | undefined {
    assertRange(this.size, offset, length)
    const mapping = this.#located(offset, length)
    if (mapping === undefined || mapping.length < length) return undefined
    if (mapping.kind === 'data') return mapping.source.cached?.(mapping.offset, length)
    const isBelow = mapping.kind === 'hole' && offset + length <= (this.#below?.size ?? 0)
    return isBelow ? this.#below?.cached?.(offset, length) : undefined
  }

  /** What the tables in memory say; whoever reads there is told of what is wrong with them. */
  #located(offset: number, length: number): Mapping | undefined {
    try {
      const mapping = this.#layout.locate(offset, length)
      if (!(mapping instanceof Promise)) return mapping
      mapping.catch(() => {})
    } catch (error) {
      if (!isNetcowError(error)) throw error
    }
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sources[Symbol.asyncDispose]()
  }

  async #readRuns(
    target: Uint8Array,
    offset: number,
    first: Mapping | Promise<Mapping>,
  ): Promise<void> {
    const flight = new Flight(RUNS_AT_ONCE)
    try {
      let next = first
      for (let at = 0; at < target.length && !flight.failed;) {
        const mapping = next instanceof Promise ? await next : next
        const filled = this.#fill(target.subarray(at, at + mapping.length), offset + at, mapping)
        if (filled !== undefined) await flight.add(filled)
        at += mapping.length
        if (at < target.length) next = this.#layout.locate(offset + at, target.length - at)
      }
    } catch (error) {
      flight.fail(error)
    }
    await flight.land()
  }

  async #prefetchRuns(offset: number, length: number): Promise<void> {
    for (let at = offset, end = offset + length; at < end;) {
      const mapping = await this.#layout.locate(at, end - at)
      switch (mapping.kind) {
        case 'data':
          mapping.source.prefetch?.(mapping.offset, mapping.length)
          break
        case 'packed':
          mapping.prefetch()
          break
        case 'hole': {
          const held = Math.min((this.#below?.size ?? 0) - at, mapping.length)
          if (held > 0) this.#below?.prefetch?.(at, held)
          break
        }
        case 'zero':
          break
      }
      at += mapping.length
    }
  }

  #fill(target: Uint8Array, offset: number, mapping: Mapping): Completion {
    switch (mapping.kind) {
      case 'data':
        return mapping.source.read(target, mapping.offset)
      case 'packed':
        return mapping.unpack(target)
      case 'zero':
        target.fill(0)
        this.#notice(mapping)
        return undefined
      case 'hole':
        return this.#readBelow(target, offset)
    }
  }

  /** Whoever takes these zeroes for good is to know. */
  #notice(mapping: Mapping): void {
    if (mapping.kind !== 'zero' || mapping.pastEnd !== 'before') return
    this.#tell?.(cutOff(mapping.offset ?? 0))
    this.#tell = undefined
  }

  #readBelow(target: Uint8Array, offset: number): Completion {
    const held = Math.min(Math.max(0, (this.#below?.size ?? 0) - offset), target.length)
    target.fill(0, held)
    if (held === 0 || !this.#below) return undefined
    return this.#below.read(target.subarray(0, held), offset)
  }

  /** What lies past the end of a shorter layer below reads as zeroes, and nobody holds it. */
  async #extentBelow(offset: number, length: number): Promise<Extent> {
    const held = Math.min((this.#below?.size ?? 0) - offset, length)
    if (held <= 0 || !this.#below) return { kind: 'hole', length, depth: 0 }
    const extent = await this.#below.extent(offset, held)
    return extent.depth === 0 ? extent : { ...extent, depth: extent.depth + 1 }
  }
}

/** A byte that is packed or encrypted has no place of its own in the file. */
async function placed(mapping: Mapping): Promise<Omit<Place, 'layer'>> {
  if (mapping.kind === 'data' && mapping.sparse) {
    const { source, offset } = mapping
    const { kind, length } = await source.extent(offset, mapping.length)
    return { kind, length, offset }
  }
  // A map shows what the tables say, as qemu-img has it.
  if (mapping.kind === 'zero' && mapping.pastEnd) return { ...mapping, kind: 'data' }
  const { kind, length } = mapping
  const standsThere = kind !== 'packed' && !(kind === 'data' && mapping.encrypted)
  return standsThere ? mapping : { kind, length }
}

async function placeIn(source: BlockSource, offset: number, length: number): Promise<Place> {
  if (source instanceof Image) return source.place(offset, length)
  const extent = await source.extent(offset, length)
  return { kind: extent.kind, length: extent.length, layer: 0 }
}
