/** What may be fetched for nothing before anything was read, but for small caches. */
const HEAD_START_BYTES = 512 * 1024

/** The blocks that were fetched though nobody had asked for them, and what of them was for nothing so far. */
export class Waste {
  readonly #blockBytes: number
  readonly #headStartBytes: number
  /** Those of them that are here, and for nothing so far. */
  readonly #unproven = new Set<number>()
  #wastedBytes = 0
  #speculativeBytes = 0

  /** @param mostHeadStartBytes what a cache of its size may have at most before anything was read */
  constructor(blockBytes: number, mostHeadStartBytes: number) {
    this.#blockBytes = blockBytes
    this.#headStartBytes = Math.min(HEAD_START_BYTES, mostHeadStartBytes)
  }

  /** All that nobody had asked for. */
  get speculativeBytes(): number {
    return this.#speculativeBytes
  }

  /** Whether so many blocks more may be for nothing, where that many bytes may be in all. */
  affords(blocks: number, mostBytes: number): boolean {
    return this.#wastedBytes + blocks * this.#blockBytes <= mostBytes + this.#headStartBytes
  }

  /** The block is fetched, and nobody has asked for it. */
  risk(block: number): void {
    this.#unproven.add(block)
    this.#wastedBytes += this.#blockBytes
    this.#speculativeBytes += this.#blockBytes
  }

  /** Somebody asks for the block now, or it never came. */
  redeem(block: number): void {
    if (this.#unproven.delete(block)) this.#wastedBytes -= this.#blockBytes
  }

  /** The block was for nothing, if nobody has asked for it. */
  dropped(block: number): void {
    this.#unproven.delete(block)
  }
}
