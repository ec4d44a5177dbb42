import { bytes, struct, u16, u32 } from '../../../binary/struct.ts'
import type { BlockSource } from '../../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../../errors.ts'
import { readClamped } from '../../clamped.ts'
import type { Extensions } from '../extensions.ts'
import type { Header } from '../header.ts'
import { SECTOR } from './sector.ts'

/** LUKS On-Disk Format Specification, version 1, section "Partition header layout". */
const KeySlot = struct({
  active: u32,
  iterations: u32,
  salt: bytes(32),
  key_material_offset: u32, // in sectors, from the beginning of the LUKS header
  stripes: u32,
})
const SLOTS = 8
const LuksRecord = struct({
  magic: bytes(6),
  version: u16,
  cipher_name: bytes(32),
  cipher_mode: bytes(32),
  hash_spec: bytes(32),
  payload_offset: u32,
  key_bytes: u32,
  mk_digest: bytes(20),
  mk_digest_salt: bytes(32),
  mk_digest_iter: u32,
  uuid: bytes(40),
})
const MAGIC = 'LUKS\xba\xbe'
const ACTIVE = 0x00ac71f3
export interface LuksSlot {
  readonly active: boolean
  readonly iterations: number
  /** In bytes from the beginning of the LUKS header. */
  readonly keyOffset: number
  readonly stripes: number
  readonly salt: Uint8Array
}

export interface LuksHeader {
  readonly cipher: string
  /** Such as `xts-plain64`. */
  readonly mode: string
  readonly hash: string
  readonly payloadOffset: number
  readonly keyBytes: number
  readonly digest: Uint8Array
  readonly digestSalt: Uint8Array
  readonly digestIterations: number
  readonly uuid: string
  readonly slots: readonly LuksSlot[]
}

/** Where the LUKS header lies within the image. */
export interface LuksPlace {
  readonly offset: number
  readonly length: number
}

/** Section "Full disk encryption header pointer". */
export function luksPlace(header: Header, extensions: Extensions): LuksPlace {
  const place = extensions.encryption
  if (!place)
    throw new ImageInvalid('the image is encrypted with LUKS but has no LUKS header', {
      where: { offset: 32 },
    })
  if (!Number.isSafeInteger(place.offset) || place.offset % 2 ** header.cluster_bits !== 0)
    throw new ImageInvalid('the LUKS header does not begin at a cluster', {
      where: { offset: place.offset },
    })
  return place
}

export async function readLuksHeader(source: BlockSource, place: LuksPlace): Promise<LuksHeader> {
  const head = await readClamped(source, place.offset, LuksRecord.size + SLOTS * KeySlot.size)
  const record = LuksRecord.decode(head)
  if (Buffer.from(record.magic).toString('latin1') !== MAGIC)
    throw new ImageInvalid('there is no LUKS header where there should be one', {
      where: { offset: place.offset },
    })
  if (record.version !== 1)
    throw new ImageUnsupported(`LUKS version ${record.version}`, {
      where: { offset: place.offset + 6 },
      advice: 'inside of QCOW2 only version 1 is defined',
    })
  const slots = Array.from({ length: SLOTS }, (_, i): LuksSlot => {
    const slot = KeySlot.decode(head, LuksRecord.size + i * KeySlot.size)
    return {
      active: slot.active === ACTIVE,
      iterations: slot.iterations,
      keyOffset: slot.key_material_offset * SECTOR,
      stripes: slot.stripes,
      salt: slot.salt,
    }
  })
  return {
    cipher: text(record.cipher_name),
    mode: text(record.cipher_mode),
    hash: text(record.hash_spec),
    payloadOffset: record.payload_offset * SECTOR,
    keyBytes: record.key_bytes,
    digest: record.mk_digest,
    digestSalt: record.mk_digest_salt,
    digestIterations: record.mk_digest_iter,
    uuid: text(record.uuid),
    slots,
  }
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1')
}
