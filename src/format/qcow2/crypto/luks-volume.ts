import { createHash, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { BlockSource } from '../../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../../errors.ts'
import { readClamped } from '../../clamped.ts'
import { hashBytes, isHash } from './hashes.ts'
import { type Tries, checkCosts, triesOf } from './key-cost.ts'
import { type LuksHeader, type LuksPlace, type LuksSlot, readLuksHeader } from './luks-header.ts'
import { type SectorCipher, sectorCipher } from './sector-cipher.ts'
import { SECTOR } from './sector.ts'

/** Every tool writes 4000; more would let an image size an allocation. */
const MOST_STRIPES = 16_384
const KEY_BYTES = [16, 24, 32, 48, 64]

/** What a passphrase opens: a header with key slots. */
export class LuksVolume {
  readonly #source: BlockSource
  readonly #place: LuksPlace
  readonly #header: LuksHeader
  readonly #tries: Tries

  private constructor(source: BlockSource, place: LuksPlace, header: LuksHeader, tries: Tries) {
    this.#source = source
    this.#place = place
    this.#header = header
    this.#tries = tries
  }

  /**
   * Throws `ImageInvalid` or `ImageUnsupported` for what no passphrase would open.
   *
   * @param only the number of the one key slot to try; all that are in use without it
   */
  static async open(source: BlockSource, place: LuksPlace, only?: number): Promise<LuksVolume> {
    const header = await readLuksHeader(source, place)
    check(header, place)
    return new LuksVolume(source, place, header, triesOf(header, only))
  }

  /** How many key slots there are to try. */
  get slots(): number {
    return this.#tries.slots.length
  }

  /**
   * Tries the passphrase on the key slots. Takes as long as they ask for, up to a limit: throws
   * `ImageUnsupported` if there are more than may be tried.
   */
  async unlock(passphrase: Uint8Array): Promise<SectorCipher | undefined> {
    const { cipher, mode } = this.#header
    const { slots, left } = this.#tries
    for (const slot of slots) {
      const key = await slotKey(this.#source, this.#place, this.#header, slot, passphrase)
      if (key) return sectorCipher(cipher, mode, key)
    }
    if (left === 0) return undefined
    throw new ImageUnsupported('to try the passphrase on all key slots would take too long', {
      where: { tried: slots.length, left },
      advice: 'say which it is with --luks-key-slot',
    })
  }
}

function check(header: LuksHeader, place: LuksPlace): void {
  const { hash, keyBytes, cipher, mode } = header
  if (!isHash(hash))
    throw new ImageUnsupported(`the LUKS hash ${JSON.stringify(hash)}`, {
      where: { offset: place.offset + 72 },
    })
  if (!KEY_BYTES.includes(keyBytes))
    throw new ImageUnsupported(`a LUKS key of ${keyBytes} bytes`, {
      where: { offset: place.offset + 108 },
    })
  sectorCipher(cipher, mode, new Uint8Array(keyBytes))
  for (const { active, stripes, keyOffset } of header.slots) {
    if (!active) continue
    if (stripes === 0 || stripes > MOST_STRIPES) invalid(`${stripes} LUKS stripes`, place.offset)
    if (keyOffset + stripes * keyBytes > place.length)
      invalid('LUKS key material lies outside of its header', place.offset + keyOffset)
  }
  checkCosts(header)
}

/** Section "Master key recovery". */
async function slotKey(
  source: BlockSource,
  place: LuksPlace,
  header: LuksHeader,
  slot: LuksSlot,
  passphrase: Uint8Array,
): Promise<Uint8Array | undefined> {
  const { hash, keyBytes, digest, digestSalt, digestIterations } = header
  const derived = await derive(passphrase, slot.salt, slot.iterations, keyBytes, hash)
  const length = keyBytes * slot.stripes
  const sectors = Math.ceil(length / SECTOR) * SECTOR
  const material = await readClamped(source, place.offset + slot.keyOffset, sectors)
  sectorCipher(header.cipher, header.mode, derived).decrypt(material, 0)
  const key = merge(material, keyBytes, slot.stripes, hash)
  const found = await derive(key, digestSalt, digestIterations, digest.length, hash)
  return timingSafeEqual(found, digest) ? key : undefined
}

/** Section "Anti-forensic splitter": the stripes, each mixed into what the next begins with. */
function merge(material: Uint8Array, keyBytes: number, stripes: number, hash: string): Uint8Array {
  let key: Uint8Array = new Uint8Array(keyBytes)
  for (let stripe = 0; stripe < stripes; stripe++) {
    for (let i = 0; i < keyBytes; i++) key[i]! ^= material[stripe * keyBytes + i]!
    if (stripe < stripes - 1) key = diffused(key, hash)
  }
  return key
}

function diffused(key: Uint8Array, hash: string): Uint8Array {
  const spread = new Uint8Array(key.length)
  const number = new Uint8Array(4)
  for (let at = 0, part = 0; at < key.length; part++) {
    new DataView(number.buffer).setUint32(0, part)
    const digestBytes = createHash(hash).update(number)
    const digest = digestBytes.update(key.subarray(at, at + hashBytes(hash))).digest()
    spread.set(digest.subarray(0, Math.min(digest.length, key.length - at)), at)
    at += digest.length
  }
  return spread
}

const derive = promisify(pbkdf2)

function invalid(what: string, offset: number): never {
  throw new ImageInvalid(what, { where: { offset } })
}
