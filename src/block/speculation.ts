/** How fast a source answers, as measured. */
export interface LinkSpeed {
  /** From a request to the first byte of its answer. */
  readonly roundTripMs: number
  /** The same, of late: more where the server has others to serve. */
  readonly recentRoundTripMs: number
  /** Of all connections together. */
  readonly bytesPerMs: number
}

/** What may be fetched that nobody has asked for. */
export interface Allowance {
  /** The unit of speculation, a power of two; 0 for none. */
  readonly windowBytes: number
  /** What may be under way in all, with what was asked for. */
  readonly underwayBytes: number
  /** What may have been fetched for nothing so far, as a share of what was read. */
  readonly wasteShare: number
}

/** Ranges that hold more wait too long for each other. */
const MOST_WINDOW_BYTES = 512 * 1024
/** Nearer servers are in the same house: many machines share them, and a round trip costs little. */
const NEAR_MS = 5
/** A server that takes this many times what the way takes is busy, and is not asked for more. */
const BUSY_FACTOR = 3
const NEAR_WASTE = 0.15
const FAR_WASTE = 1.2
/** Windows are this part of what is on its way in a round trip, and this many times it is under way. */
const WINDOW_SHARE = 1 / 4
const UNDERWAY_FACTOR = 2

/**
 * While an answer is on its way, which takes a round trip however short it is, the link could have
 * carried round trip x bandwidth: that much more costs next to no time. Windows are a quarter of
 * it, so that several places are tried, and as little as that is under way, so that an answer waits
 * for a round trip more at worst. Where a block takes longer than the way, nothing is speculated.
 */
export function allowance(speed: LinkSpeed | undefined, blockBytes: number): Allowance {
  if (speed === undefined) return { windowBytes: 0, underwayBytes: 0, wasteShare: 0 }
  const onTheWay = speed.roundTripMs * speed.bytesPerMs
  const window = 2 ** Math.round(Math.log2(onTheWay * WINDOW_SHARE))
  return {
    windowBytes: window < blockBytes ? 0 : Math.min(window, MOST_WINDOW_BYTES),
    underwayBytes: onTheWay * UNDERWAY_FACTOR,
    wasteShare: isNear(speed) || isBusy(speed) ? NEAR_WASTE : FAR_WASTE,
  }
}

function isNear({ roundTripMs }: LinkSpeed): boolean {
  return roundTripMs < NEAR_MS
}

function isBusy({ roundTripMs, recentRoundTripMs }: LinkSpeed): boolean {
  return recentRoundTripMs > BUSY_FACTOR * roundTripMs
}
