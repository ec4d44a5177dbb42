import type { CacheCounters } from './block/cache-counters.ts'
import type { Destinations } from './http/redirects.ts'
import type { SourceState } from './http/state.ts'

/** What can be seen of a device in use, and what can be changed of it. */
export interface Vitals {
  /** How the files on servers are doing that the bytes come from, the topmost first. */
  readonly states: () => readonly SourceState[]
  /** What is kept of them. */
  readonly cache: () => CacheCounters
  /** Where the redirects of its files lead, which is nobody's business. */
  readonly destinations: () => Destinations
  /**
   * What the image is known by when it is opened again, read in the same way: the versions of all its
   * files, and their contents where mirrors may call the version something else. One of them is enough.
   */
  readonly identities:
    | readonly [byVersion: string]
    | readonly [byVersion: string, byContent: string]
  /** Absent if nothing is written, or into the image itself. */
  readonly overlay?: OverlayVitals
}

export interface OverlayVitals {
  readonly kind: 'memory' | 'disk'
  readonly usedBytes: number
  readonly limitBytes: number
  /** How many writes wait for room. */
  readonly waitingWrites: number
  /** Sets another limit; what is used beyond it stays. */
  resize(limitBytes: number): void
}
