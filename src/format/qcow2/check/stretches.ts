/** Stretches of a file that do not overlap. */
export class Stretches {
  /** Where each begins and ends, in order. */
  readonly #bounds: number[] = []

  /** Takes a stretch in, unless it overlaps one that is in. Returns whether it did. */
  add(offset: number, length: number): boolean {
    let index = 0
    for (let end = this.#bounds.length / 2; index < end;) {
      const middle = (index + end) >> 1
      if (this.#bounds[2 * middle + 1]! <= offset) index = middle + 1
      else end = middle
    }
    const next = this.#bounds[2 * index] ?? Infinity
    if (next < offset + length) return false
    this.#bounds.splice(2 * index, 0, offset, offset + length)
    return true
  }
}
