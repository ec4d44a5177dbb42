import { createHash, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { BlockSource } from '../../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../../errors.ts'
import { readClamped } from '../../clamped.ts'
import { derivationCost, hashBytes, isHash } from './hashes.ts'
import { type LuksHeader, type LuksPlace, type LuksSlot, readLuksHeader } from './luks-header.ts'
import { type SectorCipher, sectorCipher } from './sector-cipher.ts'
import { SECTOR } from './sector.ts'

/** Every tool writes 4000; more would let an image size an allocation. */
const MOST_STRIPES = 16_384
const KEY_BYTES = [16, 24, 32, 48, 64]
/**
 * What a key may cost to derive, in iterations of SHA-256. QEMU and cryptsetup spend two seconds on
 * a key slot and an eighth of that on the digest; a fast core does 8 million in a second.
 */
const MOST_SLOT_COST = 24 * 2 ** 20
const MOST_DIGEST_COST = 4 * 2 ** 20

/** What a passphrase opens: a header with key slots. */
export class LuksVolume {
  readonly #source: BlockSource
  readonly #place: LuksPlace
  readonly #header: LuksHeader

  private constructor(source: BlockSource, place: LuksPlace, header: LuksHeader) {
    this.#source = source
    this.#place = place
    this.#header = header
  }

  /** Throws `ImageInvalid` or `ImageUnsupported` for what no passphrase would open. */
  static async open(source: BlockSource, place: LuksPlace): Promise<LuksVolume> {
    const header = await readLuksHeader(source, place)
    check(header, place)
    return new LuksVolume(source, place, header)
  }

  /** How many key slots are in use. */
  get slots(): number {
    return this.#active.length
  }

  /** Tries the passphrase on every key slot. Takes as long as the key slots ask for. */
  async unlock(passphrase: Uint8Array): Promise<SectorCipher | undefined> {
    const { cipher, mode } = this.#header
    for (const slot of this.#active) {
      const key = await slotKey(this.#source, this.#place, this.#header, slot, passphrase)
      if (key) return sectorCipher(cipher, mode, key)
    }
    return undefined
  }

  get #active(): readonly LuksSlot[] {
    return this.#header.slots.filter((slot) => slot.active)
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
  for (const { active, iterations, stripes, keyOffset } of header.slots) {
    if (!active) continue
    if (stripes === 0 || stripes > MOST_STRIPES) invalid(`${stripes} LUKS stripes`, place.offset)
    if (keyOffset + stripes * keyBytes > place.length)
      invalid('LUKS key material lies outside of its header', place.offset + keyOffset)
    checkCost(iterations, derivationCost(hash, iterations, keyBytes), MOST_SLOT_COST)
  }
  const { digest, digestIterations } = header
  const cost = derivationCost(hash, digestIterations, digest.length)
  checkCost(digestIterations, cost, MOST_DIGEST_COST)
}

function checkCost(iterations: number, cost: number, most: number): void {
  if (iterations > 0 && cost <= most) return
  throw new ImageUnsupported(`a LUKS key of ${iterations} iterations`, { where: { cost, most } })
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
