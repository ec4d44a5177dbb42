import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long one request may keep others waiting. */
const TURN_MS = 5

/** Takes turns with the rest of the process, for work that comes in many small steps. */
export class Turns {
  #began = performance.now()

  /** To be called between two steps. */
  async mayPass(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return
    await nextTurn()
    this.#began = performance.now()
  }
}

/**
 * Does `work` to a range of any length in steps of at most `mostBytes` bytes, one after the other.
 * Others have their turn in between; ends early when `over` says that nobody waits any more.
 */
export async function inSlices(
  range: { readonly offset: number; readonly length: number },
  mostBytes: number,
  over: () => boolean,
  work: (offset: number, length: number) => Promise<void>,
): Promise<void> {
  const turns = new Turns()
  const end = range.offset + range.length
  for (let at = range.offset; at < end && !over();) {
    const next = Math.min(end, at - (at % mostBytes) + mostBytes)
    await work(at, next - at)
    at = next
    await turns.mayPass()
  }
}
