/** What a cache holds, and what it did so far. */
export interface CacheCounters {
  readonly limitBytes: number
  readonly heldBytes: number
  readonly fetches: number
  readonly fetchedBytes: number
  /** Of those, what nobody had asked for. */
  readonly speculativeBytes: number
  readonly readBytes: number
}

export const NO_CACHE: CacheCounters = {
  limitBytes: 0,
  heldBytes: 0,
  fetches: 0,
  fetchedBytes: 0,
  speculativeBytes: 0,
  readBytes: 0,
}

/** Two caches as one. */
export function added(left: CacheCounters, right: CacheCounters): CacheCounters {
  return {
    limitBytes: left.limitBytes + right.limitBytes,
    heldBytes: left.heldBytes + right.heldBytes,
    fetches: left.fetches + right.fetches,
    fetchedBytes: left.fetchedBytes + right.fetchedBytes,
    speculativeBytes: left.speculativeBytes + right.speculativeBytes,
    readBytes: left.readBytes + right.readBytes,
  }
}
