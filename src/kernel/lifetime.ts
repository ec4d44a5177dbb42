import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_AGAIN_MS = 20

/**
 * Waits for a process, which need not be a child, but no longer than `mostMs`. Until it has ended,
 * what it writes to may not be complete, and is in use.
 */
export async function ended(pid: number, mostMs: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < mostMs; waitedMs += LOOK_AGAIN_MS) {
    if (!isAlive(pid)) return
    await sleep(LOOK_AGAIN_MS)
  }
}

/** Nobody may have asked how it ended: then it is there, and dead (proc_pid_stat(5)). */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
