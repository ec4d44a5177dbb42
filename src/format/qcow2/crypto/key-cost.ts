import { ImageUnsupported, UsageError } from '../../../errors.ts'
import { derivationCost } from './hashes.ts'
import type { LuksHeader, LuksSlot } from './luks-header.ts'

/**
 * What deriving keys may cost, in iterations of SHA-256, of which a fast core does 8 million in a
 * second. QEMU and cryptsetup spend two seconds on a key slot and an eighth of that on the digest. It
 * is not for an image to say how long a processor works before it is refused.
 */
const MOST_SLOT_COST = 24 * 2 ** 20
const MOST_DIGEST_COST = 4 * 2 ** 20
/** For one passphrase: four key slots as fast machines write them. There are eight. */
const MOST_PASSPHRASE_COST = 72 * 2 ** 20

/** Throws `ImageUnsupported` for keys that nobody writes: one would cost too much by itself. */
export function checkCosts(header: LuksHeader): void {
  for (const slot of header.slots)
    if (slot.active) check(slot.iterations, slotCost(header, slot), MOST_SLOT_COST)
  check(header.digestIterations, digestCost(header), MOST_DIGEST_COST)
}

function check(iterations: number, cost: number, most: number): void {
  if (iterations > 0 && cost <= most) return
  throw new ImageUnsupported(`a LUKS key of ${iterations} iterations`, { where: { cost, most } })
}

/** The key slots that a passphrase is tried on, in this order, and how many more would cost too much. */
export interface Tries {
  readonly slots: readonly LuksSlot[]
  readonly left: number
}

/**
 * The cheapest first, as far as they may be tried.
 *
 * @param only the number of the one that the user names; throws `UsageError` if that is not in use
 */
export function triesOf(header: LuksHeader, only?: number): Tries {
  const named = header.slots.filter(
    ({ active }, index) => active && (only === undefined || only === index),
  )
  if (only !== undefined && named.length === 0)
    throw new UsageError(`key slot ${only} of the image is not in use`, {
      advice: 'netcow info says which are',
    })
  const cheapestFirst = named.toSorted((one, other) => one.iterations - other.iterations)
  let cost = 0
  const slots = cheapestFirst.filter((slot) => {
    cost += slotCost(header, slot) + digestCost(header)
    return cost <= MOST_PASSPHRASE_COST
  })
  return { slots, left: named.length - slots.length }
}

function slotCost({ hash, keyBytes }: LuksHeader, { iterations }: LuksSlot): number {
  return derivationCost(hash, iterations, keyBytes)
}

function digestCost({ hash, digest, digestIterations }: LuksHeader): number {
  return derivationCost(hash, digestIterations, digest.length)
}
