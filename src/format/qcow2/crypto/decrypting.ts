import { type BlockSource, type Extent, assertRange } from '../../../block/source.ts'
import type { SectorCipher } from './sector-cipher.ts'
import { SECTOR } from './sector.ts'

/**
 * The clusters of an encrypted image in clear. Offsets are those of the image; sector numbers are
 * those plus `shift`: legacy AES counts the sectors of the guest.
 */
export class Decrypting implements BlockSource {
  /** A file that ends early reads as zeroes, and those are decrypted like everything else. */
  readonly size = Number.MAX_SAFE_INTEGER
  readonly #base: BlockSource
  readonly #cipher: SectorCipher
  readonly #shift: number

  constructor(base: BlockSource, cipher: SectorCipher, shift = 0) {
    this.#base = base
    this.#cipher = cipher
    this.#shift = shift
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    assertRange(this.size, offset, target.length)
    const before = offset % SECTOR
    const length = Math.ceil((before + target.length) / SECTOR) * SECTOR
    const whole = length === target.length ? target : new Uint8Array(length)
    const start = offset - before
    const held = Math.min(Math.max(0, this.#base.size - start), length)
    whole.fill(0, held)
    if (held > 0) await this.#base.read(whole.subarray(0, held), start)
    this.#cipher.decrypt(whole, start / SECTOR + this.#shift)
    if (whole !== target) target.set(whole.subarray(before, before + target.length))
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }

  prefetch(offset: number, length: number): void {
    const held = Math.min(this.#base.size - offset, length)
    if (held > 0) this.#base.prefetch?.(offset, held)
  }

  /** The base belongs to the image. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
