import { stat } from 'node:fs/promises'
import { type CacheCounters, NO_CACHE, added } from './block/cache-counters.ts'
import { Patience } from './block/retry.ts'
import { sha256 } from './digest.ts'
import { SourceChanged } from './errors.ts'
import type { Destinations } from './http/redirects.ts'
import type { SourceState } from './http/state.ts'
import type { DevicePlan } from './plan.ts'
import type { Vitals } from './vitals.ts'

/** A server on which the file is another one each time is given up after so many. */
const MOST_REPLACEMENTS = 5

/**
 * Opens something. Nobody depends on a version of it yet, so that what is replaced on its server meanwhile is
 * opened anew.
 */
export async function opened<T>(
  openMs: number,
  report: (line: string) => void,
  open: (opening: Opening) => Promise<T>,
): Promise<T> {
  for (let replaced = 1; ; replaced++) {
    try {
      return await open(new Opening(openMs, report))
    } catch (error) {
      if (!(error instanceof SourceChanged) || replaced > MOST_REPLACEMENTS) throw error
      report(`opening the image anew: ${error.line}`)
    }
  }
}

/** What a file is known by when it is opened again. */
interface Known {
  readonly version: string
  /** The same at all its places, whatever each calls the version; undefined where nobody says it. */
  readonly content: () => Promise<string | undefined>
}

/** What can be seen of a file on a server. */
interface Seen {
  readonly state: () => SourceState
  readonly cache: () => CacheCounters
  readonly destinations: () => Destinations
}

/** What everything that is opened together shares: its patience, and what is to be seen of it. */
export class Opening extends Patience {
  readonly sources: (() => SourceState)[] = []
  readonly caches: (() => CacheCounters)[] = []
  readonly destinations: (() => Destinations)[] = []
  /** The paths of local files. */
  readonly files: string[] = []
  readonly #known: Known[] = []

  /** A local file has been opened. */
  async openedFile(path: string, size: number): Promise<void> {
    this.files.push(path)
    const stats = await stat(path)
    // A file that was written to since is another one; the time of a disk's name means nothing.
    this.#openedOnly(`${size} bytes, ${stats.isFile() ? stats.mtimeMs : 'a disk'}`)
  }

  /**
   * A file on a server has been opened, in the version that `state` knows.
   *
   * @param content how it begins, and the digest of the whole file, which is asked for only if it has
   *   mirrors; undefined if there is none
   */
  openedUrl(
    { state, cache, destinations }: Seen,
    { head, digest }: { head: Uint8Array; digest: () => Promise<string | undefined> },
  ): void {
    this.sources.push(state)
    this.caches.push(cache)
    this.destinations.push(destinations)
    const { sizeBytes, servers } = state()
    const identity = servers.find((server) => server.identity !== undefined)?.identity
    const version = `${sizeBytes} bytes, ${identity}`
    if (servers.length === 1) return this.#openedOnly(version)
    const content = async () => {
      const found = await digest()
      // What lies beside a file may be about the one before it.
      return found && `${sizeBytes} bytes, sha-256 ${found}, begins with ${sha256(head)}`
    }
    this.#known.push({ version, content })
  }

  /** A file has been fetched whole. */
  openedBytes(bytes: Uint8Array): void {
    this.#openedOnly(sha256(bytes))
  }

  /** Asks servers for digests if that may help somebody; throws what they fail with. */
  async vitals(plan: DevicePlan): Promise<Vitals> {
    return {
      states: () => this.sources.map((state) => state()),
      cache: () => this.caches.map((counters) => counters()).reduce(added, NO_CACHE),
      destinations: () => new Map(this.destinations.flatMap((found) => [...found()])),
      identities: await this.#identities(plan),
    }
  }

  async #identities(plan: DevicePlan): Promise<Vitals['identities']> {
    const { format, snapshot, offset, sizeLimit, sectorBytes, overlay } = plan
    const reading = [format, snapshot, offset, sizeLimit, sectorBytes]
    const identity = (files: readonly (string | undefined)[]) =>
      sha256(JSON.stringify([reading, files]))
    const byVersion = identity(this.#known.map(({ version }) => version))
    // What is written to memory is lost with its daemon, so that nobody looks for the image again.
    if (overlay.kind === 'memory') return [byVersion]
    const contents = await Promise.all(this.#known.map(({ content }) => content()))
    const byContent = contents.includes(undefined) ? byVersion : identity(contents)
    return byContent === byVersion ? [byVersion] : [byVersion, byContent]
  }

  /** What has no other place is known by its version alone. */
  #openedOnly(version: string): void {
    this.#known.push({ version, content: async () => version })
  }
}
