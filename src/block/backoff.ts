const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 15_000

/**
 * How long to stay away from what has failed `failures` times on end, from 1: doubling, and never
 * the same on two machines, so that a thousand of them do not come back as one.
 */
export function backoffMs(failures: number, longestMs = LONGEST_PAUSE_MS): number {
  const step = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 20))
  return step * (0.5 + Math.random() / 2)
}

/** Who was asked to stay away comes back within this share of the time more, and at least within this. */
const LATEST_SHARE = 0.25
const LEAST_SPREAD_MS = 3000

/**
 * How long to stay away when a server has asked for `askedMs`: never less, and up to a quarter more, since
 * all machines that it serves were asked for the same.
 *
 * @param lateness drawn once for all that is asked for at a time, from 0 to 1: the longest of many draws
 *   would be about the same on all machines
 */
export function awayMs(askedMs: number, lateness: number): number {
  if (askedMs === 0) return 0
  return askedMs + lateness * Math.max(askedMs * LATEST_SHARE, LEAST_SPREAD_MS)
}
