/** A source, as far as its absence goes. */
interface Source {
  readonly waiting?: { readonly waitedMs: number; readonly reason: string }
}
type States = readonly Source[]

/** How often the states are looked at: the limit is in seconds. */
const LOOK_MS = 1000

/**
 * Calls `act` once, when one of the sources has been away for `limitMs`, unless it is disposed of before.
 * Whoever waits for it goes on waiting: an error would break the file system on the disk.
 */
export function watchOutages(
  states: () => States,
  limitMs: number,
  act: (line: string) => void,
): Disposable {
  const timer = setInterval(() => {
    const late = overdue(states(), limitMs)
    if (late === undefined) return
    clearInterval(timer)
    act(late)
  }, LOOK_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** What there is to say of a source while it is opened, which it has been from this call on. */
export function stillOpening(reason: string): () => States {
  const since = performance.now()
  return () => [{ waiting: { waitedMs: performance.now() - since, reason } }]
}

/** The line about the source that has been away for too long; undefined while there is none. */
export function overdue(states: States, limitMs: number): string | undefined {
  const late = states.find(({ waiting }) => waiting !== undefined && waiting.waitedMs >= limitMs)
  if (late?.waiting === undefined) return undefined
  const { waitedMs, reason } = late.waiting
  return `the source is away for ${Math.round(waitedMs / 1000)} s: ${reason}`
}
