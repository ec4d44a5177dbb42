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
