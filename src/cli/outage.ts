import type { Served } from '../stack.ts'

type States = ReturnType<Served['states']>

/** How often the states are looked at: the limit is in seconds. */
const LOOK_MS = 1000

/**
 * Calls `act` once, when one of the sources has been away for `limitMs`. Whoever waits for it goes
 * on waiting: an error would break the file system on the disk.
 */
export function watchOutages(
  states: () => States,
  limitMs: number,
  act: (line: string) => void,
): void {
  const timer = setInterval(() => {
    const late = overdue(states(), limitMs)
    if (late === undefined) return
    clearInterval(timer)
    act(late)
  }, LOOK_MS)
  timer.unref()
}

/** The line about the source that has been away for too long; undefined while there is none. */
export function overdue(states: States, limitMs: number): string | undefined {
  const late = states.find(({ waiting }) => waiting !== undefined && waiting.waitedMs >= limitMs)
  if (late?.waiting === undefined) return undefined
  const { waitedMs, reason } = late.waiting
  return `the source is away for ${Math.round(waitedMs / 1000)} s: ${reason}`
}
