/**
 * Memory that replies are made in and that is used again once the client has taken them: to get
 * fresh pages for every reply costs more than to fill them, and those that were just used are still
 * in the processor's cache.
 */
export interface Slab {
  readonly bytes: Buffer
  /** How much of it, from its beginning, is given out. */
  given: number
  /** How many rooms of it are not free yet. */
  uses: number
}

/** What most replies fit into many times, and the processor's cache holds. */
export const SLAB_BYTES = 256 * 1024
/** How much is kept for whoever comes next, of all connections together. */
const MOST_IDLE_BYTES = 8 * 1024 * 1024

/** Idle ones; the last one used is the first one used again. */
const idle: Slab[] = []
let idleBytes = 0

/** A slab of which nothing is given out, with room for at least `length` bytes. */
export function takeSlab(length: number): Slab {
  const size = slabBytes(length)
  const index = idle.findLastIndex(({ bytes }) => bytes.length === size)
  const [slab] = index < 0 ? [] : idle.splice(index, 1)
  if (slab === undefined) return { bytes: Buffer.allocUnsafeSlow(size), given: 0, uses: 0 }
  idleBytes -= size
  return slab
}

/** How large a slab is that has room for `length` bytes. */
export function slabBytes(length: number): number {
  return Math.ceil(length / SLAB_BYTES) * SLAB_BYTES
}

/** Takes back a slab that nobody uses any more. */
export function giveSlab(slab: Slab): void {
  slab.given = 0
  idle.push(slab)
  idleBytes += slab.bytes.length
  while (idleBytes > MOST_IDLE_BYTES) idleBytes -= idle.shift()!.bytes.length
}
