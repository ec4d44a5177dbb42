import { Align } from './block/align.ts'
import { Bytes } from './block/bytes.ts'
import { BlockCache } from './block/cache.ts'
import { FileSource } from './block/file.ts'
import { MemoryDevice } from './block/memory.ts'
import { SECTOR } from './block/overlay.ts'
import { Pad } from './block/pad.ts'
import { ReadAhead } from './block/read-ahead.ts'
import { Persistence, RetrySource } from './block/retry.ts'
import { Slice } from './block/slice.ts'
import type { BlockDevice, BlockSource } from './block/source.ts'
import {
  ImageInvalid,
  ImageUnsupported,
  RangesRefused,
  SourceRefused,
  UsageError,
} from './errors.ts'
import { chained, dataFilePlan, planBelow } from './chain.ts'
import { openImage } from './format/registry.ts'
import { printable, shown } from './image-name.ts'
import { holds, mapFile, readCached, seek, unmapFile } from './kernel/ffi.ts'
import { Opening, opened } from './opening.ts'
import type { DevicePlan, ImagePlan, SourcePlan } from './plan.ts'
import type { Vitals } from './vitals.ts'

/**
 * The only file that knows how layers are stacked. From the bottom:
 *
 *     http/source -> block/retry -> block/cache     or block/file, or block/memory
 *     block/slice                                   --offset, --sizelimit
 *     format/*                                      clusters -> bytes
 *     block/read-ahead                              hints for readers in sequence
 *     block/pad                                     whole sectors
 *     block/overlay -> block/wait-for-room          writes
 *     block/align                                   clients that ask for single bytes
 */

/** What is served, and what can be seen of it. */
export type Served = Vitals &
  (
    | { readonly access: 'read-only'; readonly source: BlockSource }
    | { readonly access: 'read-write'; readonly source: BlockDevice }
  )

const FILE_CALLS = { holds, mapFile, readCached, seek, unmapFile }
/** Of the cache, this much holds the file as it came, packed; the rest holds decoded clusters. */
const FETCHED_SHARE = 0.75
/** Aligned to this, so that caches on the way can keep what is asked for. */
const BLOCK_BYTES = 64 * 1024
const FETCH_BYTES = 1024 * 1024
/** What a reader who reads in sequence has fetched for it before it asks. */
const READ_AHEAD_BYTES = 4 * 1024 * 1024
/** L2 tables; 4 MiB of them map 32 GiB of 64 KiB clusters. */
const TABLE_BYTES = 4 * 1024 * 1024

/** The bytes of the image file, for those who look into it. Nothing is waited for once it is open. */
export function openSource(plan: SourcePlan, report: Report): Promise<BlockSource> {
  return opened(plan.openMs, report, (opening) => sliced(plan, opening))
}

/** The same, with how its servers are doing. */
export async function openObserved(
  plan: SourcePlan,
  report: Report,
): Promise<{ readonly source: BlockSource } & Pick<Served, 'states'>> {
  return opened(plan.openMs, report, async (opening) => {
    const source = await sliced(plan, opening)
    return { source, states: () => opening.sources.map((state) => state()) }
  })
}

/** The guest's bytes, in the exact size of the image, for those who read it once. */
export function openForReading(plan: ImagePlan, report: Report): Promise<BlockSource> {
  return opened(plan.openMs, report, (opening) => image(plan, opening))
}

/** The same, with the paths of all local files that they come from. */
export function openWithFiles(
  plan: ImagePlan,
  report: Report,
): Promise<{ readonly source: BlockSource; readonly files: readonly string[] }> {
  return opened(plan.openMs, report, async (opening) => {
    return { source: await image(plan, opening), files: opening.files }
  })
}

/** A disk for others to use: from here on a failing source is waited for, for ever. */
export function openForUse(plan: DevicePlan, report: Report): Promise<Served> {
  return opened(plan.openMs, report, (opening) => served(plan, opening))
}

async function served(plan: DevicePlan, opening: Opening): Promise<Served> {
  if (plan.image.kind === 'memory') return memory(plan.image.sizeBytes, plan, opening)
  const source = new Pad(readingAhead(plan, await image(plan, opening)), plan.sectorBytes)
  const { overlay } = plan
  try {
    const vitals = await opening.vitals(plan)
    opening.useBegins()
    if (overlay.kind === 'none') return { access: 'read-only', source, ...vitals }
    const { writable } = await import('./writable.ts')
    const written = await writable(source, overlay, plan, vitals, opening.report)
    return { access: 'read-write', ...written, ...vitals }
  } catch (error) {
    await source[Symbol.asyncDispose]()
    throw error
  }
}

/** Takes one line for the user. */
export type Report = (line: string) => void

async function memory(sizeBytes: number, plan: DevicePlan, opening: Opening): Promise<Served> {
  const size = Math.ceil(sizeBytes / plan.sectorBytes) * plan.sectorBytes
  const source = new Align(new MemoryDevice(size), SECTOR)
  const access = plan.readOnly ? 'read-only' : 'read-write'
  return { access, source, ...(await opening.vitals(plan)) }
}

/** Below what is written, and only where reading takes time. */
function readingAhead(plan: SourcePlan, source: BlockSource): BlockSource {
  const mostBytes = Math.min(READ_AHEAD_BYTES, Math.floor(plan.cacheBytes / 8))
  return plan.image.kind === 'url' ? new ReadAhead(source, { mostBytes }) : source
}

/** An image and, through its opener, the images below it; `above` are the ones that led here. */
async function image(
  plan: ImagePlan,
  opening: Opening,
  above: readonly string[] = [],
): Promise<BlockSource> {
  const name = printable(plan.image)
  const chain = chained(above, plan.image)
  // What may have others below or beside it leaves half to them, so that all stay within the limit.
  const alone = plan.backing.length === 0 && plan.dataFile === undefined
  const cacheBytes = Math.floor(alone ? plan.cacheBytes : plan.cacheBytes / 2)
  let leftBytes = plan.cacheBytes - cacheBytes
  const source = await sliced({ ...plan, cacheBytes }, opening)
  try {
    return await openImage(source, {
      format: plan.format,
      // The page cache has what came from a local file.
      decodedBytes: plan.image.kind === 'url' ? cacheBytes - fetchedBytes(cacheBytes) : cacheBytes,
      tableBytes: TABLE_BYTES,
      allowCorrupt: plan.allowCorrupt,
      tell: (flaw) => opening.report(flaw.within({ image: name }).line),
      dataFileNamed: plan.dataFile !== undefined,
      ...(plan.snapshot === undefined ? {} : { snapshot: plan.snapshot }),
      ...(plan.keySlot === undefined ? {} : { keySlot: plan.keySlot }),
      passphrase: async (refused) => plan.passphrase?.(name, refused),
      opener: {
        dataFile: (inside) => {
          // A backing file may come after it.
          leftBytes /= 2
          return dataFileOf({ ...plan, cacheBytes: leftBytes }, inside, opening)
        },
        backing: (inside, format) =>
          backingOf({ ...plan, cacheBytes: leftBytes }, inside, format, opening, chain),
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
  opening: Opening,
  chain: readonly string[],
): Promise<BlockSource | undefined> {
  // A look at the first bytes of a file, which is closed again.
  const look = (file: SourcePlan) => sliced(file, new Opening(plan.openMs, opening.report))
  const below = await planBelow(plan, inside, format, look)
  return below && image(below, opening, chain)
}

/** The plans of an image and of those below it, for those who look at each by itself. */
export class ChainPlans {
  readonly #opening: Opening
  #above: readonly string[] = []

  constructor(plan: ImagePlan, report: Report) {
    this.#opening = new Opening(plan.openMs, report)
    this.#above = chained([], plan.image)
  }

  /** What the name `inside` leads to from `plan`; undefined without leave for one more file. */
  async below(plan: ImagePlan, inside: string, format?: string): Promise<ImagePlan | undefined> {
    const open = (file: SourcePlan) => sliced(file, this.#opening)
    const left = { ...plan, cacheBytes: plan.cacheBytes / 2 }
    const below = await planBelow(left, inside, format, open)
    if (below) this.#above = chained(this.#above, below.image)
    return below
  }
}

async function dataFileOf(
  plan: ImagePlan,
  inside: string | undefined,
  opening: Opening,
): Promise<BlockSource | undefined> {
  const file = await dataFilePlan(plan, inside)
  return file && sliced(file, opening)
}

async function sliced(plan: SourcePlan, opening: Opening): Promise<BlockSource> {
  const file = await fetched(plan, opening)
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

async function fetched(plan: SourcePlan, opening: Opening): Promise<BlockSource> {
  const name = plan.image
  switch (name.kind) {
    case 'memory':
      return new MemoryDevice(name.sizeBytes)
    case 'file': {
      const source = await FileSource.open(name.path, FILE_CALLS)
      await opening.openedFile(name.path, source.size)
      return source
    }
    case 'url':
      return overHttp(name.url, plan, opening)
  }
}

function fetchedBytes(cacheBytes: number): number {
  return Math.floor(cacheBytes * FETCHED_SHARE)
}

async function overHttp(url: URL, plan: SourcePlan, opening: Opening): Promise<BlockSource> {
  const limitBytes = fetchedBytes(plan.cacheBytes)
  const persistence = new Persistence(opening)
  // Of no use to who reads local files, and half of the time that it takes to start.
  const [{ download }, { Mirrors }, { serversOf }] = await Promise.all([
    import('./http/download.ts'),
    import('./http/mirrors.ts'),
    import('./http/server.ts'),
  ])
  try {
    const { report } = opening
    if (!plan.http.tls.verifies) report('the certificates of servers are not checked')
    const servers = serversOf(url, plan.http)
    const mirrors = await persistence.run(() => Mirrors.open(url, plan.http, report, servers))
    const source = new RetrySource(mirrors.source, opening)
    const state = () => {
      const { waiting } = source
      return { ...mirrors.source.state, ...(waiting && { waiting }) }
    }
    const cache = new BlockCache(source, {
      limitBytes,
      blockBytes: BLOCK_BYTES,
      fetchBytes: FETCH_BYTES,
      // The other half is for what somebody waits for.
      speculativeReads: plan.http.connections >> 1,
      speed: () => mirrors.source.speed,
    })
    if (mirrors.head.length > 0) cache.seed(mirrors.head, 0)
    const digest = () => persistence.run(() => mirrors.source.sha256())
    opening.openedUrl(
      {
        state,
        cache: () => cache.counters,
        destinations: () => mirrors.source.destinations,
      },
      { head: mirrors.head, digest },
    )
    return cache
  } catch (error) {
    if (!(error instanceof RangesRefused)) throw error
    opening.report(`${error.message}: the whole file is fetched now, once (${shown(url)})`)
    const tooLong = (bytes: number) => tooLongToKeep(url, bytes)
    const bytes = await persistence.run(() => download(url, plan.http, limitBytes, tooLong))
    opening.openedBytes(bytes)
    return new Bytes(bytes)
  }
}

function tooLongToKeep(url: URL, bytes: number): SourceRefused {
  const mebibytes = Math.ceil(bytes / FETCHED_SHARE / 2 ** 20)
  return new SourceRefused('the server does not serve ranges, and the file is too long to keep', {
    where: { url: shown(url), length: bytes },
    advice: `use a server with ranges, such as nginx or Apache, or allow --cache ${mebibytes}M`,
  })
}
