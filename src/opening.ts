import { stat } from 'node:fs/promises'
import { type CacheCounters, NO_CACHE, added } from './block/cache-counters.ts'
import { Patience } from './block/retry.ts'
import { sha256 } from './digest.ts'
import { SourceChanged } from './errors.ts'
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

/** What everything that is opened together shares: its patience, and what is to be seen of it. */
export class Opening extends Patience {
  readonly sources: (() => SourceState)[] = []
  readonly caches: (() => CacheCounters)[] = []
  /** The paths of local files. */
  readonly files: string[] = []
  readonly #identities: string[] = []

  /** A local file has been opened. */
  async openedFile(path: string, size: number): Promise<void> {
    this.files.push(path)
    const stats = await stat(path)
    // A file that was written to since is another one; the time of a disk's name means nothing.
    this.#identities.push(`${size} bytes, ${stats.isFile() ? stats.mtimeMs : 'a disk'}`)
  }

  /** A file on a server has been opened, in the version that `state` knows. */
  openedUrl(state: () => SourceState, cache: () => CacheCounters): void {
    this.sources.push(state)
    this.caches.push(cache)
    const { sizeBytes, servers } = state()
    const identity = servers.find((server) => server.identity !== undefined)?.identity
    this.#identities.push(`${sizeBytes} bytes, ${identity}`)
  }

  /** A file has been fetched whole. */
  openedBytes(bytes: Uint8Array): void {
    this.#identities.push(sha256(bytes))
  }

  vitals({ format, snapshot, offset, sizeLimit, sectorBytes }: DevicePlan): Vitals {
    const reading = [format, snapshot, offset, sizeLimit, sectorBytes]
    const parts = JSON.stringify([reading, this.#identities])
    return {
      states: () => this.sources.map((state) => state()),
      cache: () => this.caches.map((counters) => counters()).reduce(added, NO_CACHE),
      identity: sha256(parts),
    }
  }
}
