import { MOST_STRING_BYTES } from './protocol.ts'

/**
 * Reads the payload of an option field by field. Once something is wrong (a length that leads out
 * of the payload, a string that is none) everything reads as nothing and `isWhole` stays false.
 */
export class OptionPayload {
  readonly #bytes: Buffer
  #at = 0
  #broken = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Whether all fields made sense and nothing is left. */
  get isWhole(): boolean {
    return !this.#broken && this.#at === this.#bytes.length
  }
  get isBroken(): boolean {
    return this.#broken
  }

  u16(): number {
    return this.#take(2)?.readUInt16BE() ?? 0
  }
  u32(): number {
    return this.#take(4)?.readUInt32BE() ?? 0
  }

  /** A string ("Conventions"): at most 4096 bytes of UTF-8 without NUL, after its length. */
  string(): string {
    const length = this.u32()
    const bytes = length > MOST_STRING_BYTES ? this.#break() : this.#take(length)
    const text = bytes?.toString('utf8') ?? ''
    if (text.includes('\0')) this.#break()
    return text
  }

  #take(length: number): Buffer | undefined {
    if (this.#broken || this.#at + length > this.#bytes.length) return this.#break()
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #break(): undefined {
    this.#broken = true
  }
}
