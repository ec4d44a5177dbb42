import { Align } from './block/align.ts'
import { BlockCache } from './block/cache.ts'
import { FileSource } from './block/file.ts'
import { MemoryDevice } from './block/memory.ts'
import { Overlay, SECTOR } from './block/overlay.ts'
import { Pad } from './block/pad.ts'
import { Quota } from './block/quota.ts'
import { Patience, RetrySource, retrying } from './block/retry.ts'
import { Slice } from './block/slice.ts'
import type { BlockDevice, BlockSource } from './block/source.ts'
import { WaitForRoom } from './block/wait-for-room.ts'
import { ImageInvalid, ImageUnsupported, UsageError } from './errors.ts'
import { chained, dataFilePlan, planBelow } from './chain.ts'
import { openImage } from './format/registry.ts'
import { HttpSource } from './http/source.ts'
import { printable } from './image-name.ts'
import { readCached } from './kernel/ffi.ts'
import type { DevicePlan, ImagePlan, SourcePlan } from './plan.ts'

/**
 * The only file that knows how layers are stacked. From the bottom:
 *
 *     http/source -> block/retry -> block/cache     or block/file, or block/memory
 *     block/slice                                   --offset, --sizelimit
 *     format/*                                      clusters -> bytes
 *     block/pad                                     whole sectors
 *     block/overlay -> block/wait-for-room          writes
 *     block/align                                   clients that ask for single bytes
 */

/** What is served. */
export type Served =
  | { readonly access: 'read-only'; readonly source: BlockSource }
  | { readonly access: 'read-write'; readonly source: BlockDevice }

/** Of the cache, half holds the file as it came and half the decoded clusters. */
const FETCHED_SHARE = 0.5
/** Aligned to this, so that caches on the way can keep what is asked for. */
const BLOCK_BYTES = 128 * 1024
const FETCH_BYTES = 2 * 1024 * 1024
/** L2 tables; 4 MiB of them map 32 GiB of 64 KiB clusters. */
const TABLE_BYTES = 4 * 1024 * 1024

/** The bytes of the image file, for those who look into it. Nothing is waited for once it is open. */
export function openSource(plan: SourcePlan, report: Report): Promise<BlockSource> {
  return sliced(plan, new Patience(plan.openMs, report))
}

/** The guest's bytes, in the exact size of the image, for those who read it once. */
export function openForReading(plan: ImagePlan, report: Report): Promise<BlockSource> {
  return image(plan, new Patience(plan.openMs, report))
}

/** A disk for others to use: from here on a failing source is waited for, for ever. */
export async function openForUse(plan: DevicePlan, report: Report): Promise<Served> {
  if (plan.image.kind === 'memory') return memory(plan.image.sizeBytes, plan)
  const patience = new Patience(plan.openMs, report)
  const source = new Pad(await image(plan, patience), plan.sectorBytes)
  patience.useBegins()
  const { overlay } = plan
  switch (overlay.kind) {
    case 'none':
      return { access: 'read-only', source }
    case 'memory':
      return { access: 'read-write', source: overlaid(source, overlay.limitBytes, plan, report) }
  }
}

/** Takes one line for the user. */
export type Report = (line: string) => void

function memory(sizeBytes: number, plan: DevicePlan): Served {
  const size = Math.ceil(sizeBytes / plan.sectorBytes) * plan.sectorBytes
  const source = new Align(new MemoryDevice(size), SECTOR)
  return plan.readOnly ? { access: 'read-only', source } : { access: 'read-write', source }
}

function overlaid(
  base: BlockSource,
  limitBytes: number,
  plan: DevicePlan,
  report: Report,
): BlockDevice {
  const quota = new Quota(limitBytes, (percent) =>
    report(`the overlay is ${percent} % full (limit ${limitBytes} bytes)`),
  )
  const overlay = new Overlay(base, new MemoryDevice(base.size, quota))
  switch (plan.whenFull) {
    case 'wait':
      return new WaitForRoom(overlay, quota, report)
    case 'fail':
      return new Align(overlay, SECTOR)
  }
}

/** An image and, through its opener, the images below it; `above` are the ones that led here. */
async function image(
  plan: ImagePlan,
  patience: Patience,
  above: readonly string[] = [],
): Promise<BlockSource> {
  const name = printable(plan.image)
  const chain = chained(above, name)
  // What may have others below it leaves half to them, so that a chain stays within the limit.
  const cacheBytes = Math.floor(plan.backing.length > 0 ? plan.cacheBytes / 2 : plan.cacheBytes)
  const source = await sliced({ ...plan, cacheBytes }, patience)
  try {
    return await openImage(source, {
      format: plan.format,
      decodedBytes: Math.floor(cacheBytes * (1 - FETCHED_SHARE)),
      tableBytes: TABLE_BYTES,
      allowCorrupt: plan.allowCorrupt,
      ...(plan.snapshot === undefined ? {} : { snapshot: plan.snapshot }),
      passphrase: async (refused) => plan.passphrase?.(name, refused),
      opener: {
        backing: (inside, format) => backingOf(plan, inside, format, patience, chain),
        dataFile: (inside) => dataFileOf(plan, inside, patience),
      },
    })
  } catch (error) {
    await source[Symbol.asyncDispose]()
    if (error instanceof ImageInvalid || error instanceof ImageUnsupported) {
      throw error.within({ image: name })
    }
    throw error
  }
}

async function backingOf(
  plan: ImagePlan,
  inside: string,
  format: string | undefined,
  patience: Patience,
  chain: readonly string[],
): Promise<BlockSource | undefined> {
  const below = await planBelow(plan, inside, format, (file) => sliced(file, patience))
  return below && image(below, patience, chain)
}

/** The plans of an image and of those below it, for those who look at each by itself. */
export class ChainPlans {
  readonly #patience: Patience
  #above: readonly string[] = []

  constructor(plan: ImagePlan, report: Report) {
    this.#patience = new Patience(plan.openMs, report)
    this.#above = chained([], printable(plan.image))
  }

  /** What the name `inside` leads to from `plan`; undefined without leave for one more file. */
  async below(plan: ImagePlan, inside: string, format?: string): Promise<ImagePlan | undefined> {
    const open = (file: SourcePlan) => sliced(file, this.#patience)
    const below = await planBelow(plan, inside, format, open)
    if (below) this.#above = chained(this.#above, printable(below.image))
    return below
  }
}

async function dataFileOf(
  plan: ImagePlan,
  inside: string | undefined,
  patience: Patience,
): Promise<BlockSource | undefined> {
  const file = await dataFilePlan(plan, inside)
  return file && sliced(file, patience)
}

async function sliced(plan: SourcePlan, patience: Patience): Promise<BlockSource> {
  const file = await fetched(plan, patience)
  const { offset, sizeLimit = Infinity } = plan
  if (offset === 0 && sizeLimit >= file.size) return file
  if (offset >= file.size) {
    await file[Symbol.asyncDispose]()
    throw new UsageError('--offset lies behind the end of the file', {
      where: { image: printable(plan.image), offset, size: file.size },
    })
  }
  return new Slice(file, offset, Math.min(sizeLimit, file.size - offset))
}

async function fetched(plan: SourcePlan, patience: Patience): Promise<BlockSource> {
  const name = plan.image
  switch (name.kind) {
    case 'memory':
      return new MemoryDevice(name.sizeBytes)
    case 'file':
      return FileSource.open(name.path, readCached)
    case 'url': {
      const { source, head } = await retrying(() => HttpSource.open(name.url, plan.http), patience)
      const cache = new BlockCache(new RetrySource(source, patience), {
        limitBytes: Math.floor(plan.cacheBytes * FETCHED_SHARE),
        blockBytes: BLOCK_BYTES,
        fetchBytes: FETCH_BYTES,
      })
      if (head.length > 0) cache.seed(head, 0)
      return cache
    }
  }
}
