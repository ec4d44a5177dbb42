import type { BlockDevice, BlockSource } from '../block/source.ts'
import { TransmissionFlag } from './protocol.ts'
import type { MetaContext } from './meta-context.ts'

/** What a client gets: the whole of a source to read, or of a device to change. */
export type Export =
  | { readonly access: 'read-only'; readonly source: BlockSource }
  | { readonly access: 'read-write'; readonly source: BlockDevice }

/** What was agreed on with one client. */
export interface Session {
  readonly served: Export
  /** How requests and replies are laid out. */
  readonly headers: 'simple' | 'structured' | 'extended'
  /** What the client may ask about runs of bytes. */
  readonly contexts: readonly MetaContext[]
}

/** The session of a client that negotiates nothing. */
export function plainSession(served: Export): Session {
  return { served, headers: 'simple', contexts: [] }
}

/** Largest payload of one request or reply: what libnbd can send; the kernel sends half of it. */
export const MOST_PAYLOAD_BYTES = 64 * 1024 * 1024

export function transmissionFlags({ served, headers, contexts }: Session): number {
  const flag = TransmissionFlag
  const always = flag.hasFlags | flag.sendFlush | flag.sendFua | flag.canMultiConn | flag.sendCache
  const agreed =
    (headers === 'simple' ? 0 : flag.sendDf) |
    (headers === 'extended' && contexts.length > 0 ? flag.blockStatusPayload : 0)
  switch (served.access) {
    case 'read-only':
      return always | agreed | flag.readOnly
    case 'read-write':
      return always | agreed | flag.sendTrim | flag.sendWriteZeroes | flag.sendFastZero
  }
}
