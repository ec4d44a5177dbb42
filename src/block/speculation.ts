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
  /** What is asked for is fetched in aligned windows of this, a power of two, or in single blocks. */
  readonly demandBytes: number
  /** What may have been fetched for nothing so far by that, as a share of what was read. */
  readonly demandWasteShare: number
  /** The unit of speculation, a power of two; 0 for none. */
  readonly windowBytes: number
  /** What may be under way in all, with what was asked for. */
  readonly underwayBytes: number
  /** What may have been fetched for nothing so far by speculation, as a share of what was read. */
  readonly wasteShare: number
}

/** Ranges that hold more wait too long for each other. */
const MOST_WINDOW_BYTES = 512 * 1024
/** As far as kernels read ahead; it should also take no longer than the way does. */
const MOST_DEMAND_BYTES = 128 * 1024
/** Nearer servers are in the same house: many machines share them, and a round trip costs little. */
const NEAR_MS = 5
/** A server that takes this many times what the way takes is busy, and is not asked for more. */
const BUSY_FACTOR = 3
const NEAR_WASTE = 0.1
const NEAR_DEMAND_WASTE = 0.25
const FAR_WASTE = 1.2
/** Windows are this part of what is on its way in a round trip, and this many times it is under way. */
const WINDOW_SHARE = 1 / 4
const UNDERWAY_FACTOR = 2

/**
 * While an answer is on its way, which takes a round trip however short it is, the link could have
 * carried round trip x bandwidth: that much more costs next to no time. Windows are a quarter of
 * it, so that several places are tried, and as little as that is under way, so that an answer waits
 * for a round trip more at worst. Where a block takes longer than the way, nothing is speculated.
 *
 * Near by, a request costs its processors more than the way takes. So there are no requests for what
 * nobody asked for, except for readers in sequence; what somebody asked for brings its surroundings
 * along.
 */
export function allowance(speed: LinkSpeed | undefined, blockBytes: number): Allowance {
  if (speed === undefined)
    return { ...SINGLE_BLOCKS, windowBytes: 0, underwayBytes: 0, wasteShare: 0 }
  const onTheWay = speed.roundTripMs * speed.bytesPerMs
  const underwayBytes = onTheWay * UNDERWAY_FACTOR
  if (isNear(speed) || isBusy(speed))
    return {
      demandBytes: Math.min(powerOfTwo(onTheWay), MOST_DEMAND_BYTES),
      demandWasteShare: NEAR_DEMAND_WASTE,
      windowBytes: 0,
      underwayBytes,
      wasteShare: NEAR_WASTE,
    }
  const window = powerOfTwo(onTheWay * WINDOW_SHARE)
  return {
    ...SINGLE_BLOCKS,
    windowBytes: window < blockBytes ? 0 : Math.min(window, MOST_WINDOW_BYTES),
    underwayBytes,
    wasteShare: FAR_WASTE,
  }
}

const SINGLE_BLOCKS = { demandBytes: 0, demandWasteShare: 0 }

function powerOfTwo(near: number): number {
  return 2 ** Math.round(Math.log2(near))
}

function isNear({ roundTripMs }: LinkSpeed): boolean {
  return roundTripMs < NEAR_MS
}

function isBusy({ roundTripMs, recentRoundTripMs }: LinkSpeed): boolean {
  return recentRoundTripMs > BUSY_FACTOR * roundTripMs
}
