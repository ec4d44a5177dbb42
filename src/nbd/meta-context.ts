import type { Extent } from '../block/source.ts'
import { STATE_HOLE, STATE_ZERO } from './protocol.ts'

/** Something that a client may ask about runs of bytes ("Metadata querying"). */
export interface MetaContext {
  readonly name: string
  readonly id: number
  status(extent: Extent): number
}

const META_CONTEXTS: readonly MetaContext[] = [
  {
    name: 'base:allocation',
    id: 1,
    status: ({ kind }) => (kind === 'data' ? 0 : STATE_HOLE | STATE_ZERO),
  },
  {
    // docs/interop/nbd of QEMU: 0 for nobody, 1 for the topmost layer, counted downwards.
    name: 'qemu:allocation-depth',
    id: 2,
    status: ({ depth }) => depth,
  },
]

/** The contexts that queries of NBD_OPT_LIST_META_CONTEXT find: all for none, `base:` for a namespace. */
export function contextsListed(queries: readonly string[]): readonly MetaContext[] {
  if (queries.length === 0) return META_CONTEXTS
  const wanted = new Set(queries)
  return META_CONTEXTS.filter(
    ({ name }) => wanted.has(name) || wanted.has(name.slice(0, name.indexOf(':') + 1)),
  )
}

/** The contexts that queries of NBD_OPT_SET_META_CONTEXT select: only those named in full. */
export function contextsSelected(queries: readonly string[]): readonly MetaContext[] {
  const wanted = new Set(queries)
  return META_CONTEXTS.filter(({ name }) => wanted.has(name))
}
