/** Steps shorter than this say nothing. */
const QUIET_MS = 1000
const TICK_MS = 1000

/**
 * Tells the user what takes long: on a terminal one line with the seconds counting up, elsewhere
 * one line when the step has lasted a second and one when it is done. Standard output stays clean.
 */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const live = process.stderr.isTTY
  let told = false
  const tell = () => {
    const seconds = Math.round((performance.now() - started) / 1000)
    if (live) process.stderr.write(`\r${title} ... ${seconds} s`)
    else if (!told) process.stderr.write(`${title} ...\n`)
    told = true
  }
  const timer = setInterval(tell, TICK_MS)
  try {
    return await work()
  } finally {
    clearInterval(timer)
    const elapsedMs = performance.now() - started
    if (told || elapsedMs > QUIET_MS) {
      process.stderr.write(`${live ? '\r' : ''}${title}: ${(elapsedMs / 1000).toFixed(1)} s\n`)
    }
  }
}
