import type { BlockDevice, BlockSource } from '../block/source.ts'
import { TransmissionFlag } from './protocol.ts'

/** What a client gets: the whole of a source to read, or of a device to change. */
export type Export =
  | { readonly access: 'read-only'; readonly source: BlockSource }
  | { readonly access: 'read-write'; readonly source: BlockDevice }

/** Largest payload of one request: what the kernel sends at most, and qemu and libnbd by default. */
export const MOST_PAYLOAD_BYTES = 32 * 1024 * 1024

export function transmissionFlags(served: Export): number {
  const flag = TransmissionFlag
  const always = flag.hasFlags | flag.sendFlush | flag.sendFua | flag.canMultiConn
  switch (served.access) {
    case 'read-only':
      return always | flag.readOnly
    case 'read-write':
      return always | flag.sendTrim | flag.sendWriteZeroes
  }
}
