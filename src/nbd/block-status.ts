import type { BlockSource } from '../block/source.ts'
import type { MetaContext } from './meta-context.ts'
import { ExtendedStatusDescriptor } from './protocol.ts'
import type { Descriptor } from './replies.ts'
import { Turns } from './slices.ts'

/** A reply says less than was asked for beyond this; whoever wants the rest asks again. */
const MOST_DESCRIPTORS = 1 << 14
/** How many extents are looked at for one reply: metadata may have to be fetched for each. */
const MOST_EXTENTS = 1 << 16

/** How much of the disk is looked at in one step: what is found in tables is found by a loop. */
const MOST_EXTENT_BYTES = 2 ** 40

/** What the chunk of one context takes at most, but for its header. */
export const MOST_STATUS_BYTES = MOST_DESCRIPTORS * ExtendedStatusDescriptor.size

export interface StatusQuery {
  readonly offset: number
  readonly length: number
  readonly contexts: readonly MetaContext[]
  /** Only one descriptor of each context is wanted. */
  readonly one: boolean
}

/**
 * What each context says of a range, from metadata alone: neighbours of one status are one
 * descriptor, and the lists may end before the range does, each at its own place.
 */
export async function blockStatus(
  source: BlockSource,
  { offset, length, contexts, one }: StatusQuery,
  over: () => boolean,
): Promise<readonly (readonly Descriptor[])[]> {
  const lists = contexts.map((context) => new StatusList(context, one ? 1 : MOST_DESCRIPTORS))
  const turns = new Turns()
  const end = offset + length
  for (let at = offset, steps = 0; at < end && steps < MOST_EXTENTS && !over(); steps++) {
    const extent = await source.extent(at, Math.min(end - at, MOST_EXTENT_BYTES))
    let open = false
    for (const list of lists) open = list.add(extent.length, list.context.status(extent)) || open
    if (!open) break
    at += extent.length
    await turns.mayPass()
  }
  return lists.map(({ descriptors }) => descriptors)
}

class StatusList {
  readonly context: MetaContext
  readonly descriptors: { length: number; status: number }[] = []
  readonly #most: number
  #full = false

  constructor(context: MetaContext, most: number) {
    this.context = context
    this.#most = most
  }

  /** Whether there was room for this run, and so for more. */
  add(length: number, status: number): boolean {
    if (this.#full) return false
    const last = this.descriptors.at(-1)
    if (last?.status === status) last.length += length
    else if (this.descriptors.length < this.#most) this.descriptors.push({ length, status })
    else this.#full = true
    return !this.#full
  }
}
