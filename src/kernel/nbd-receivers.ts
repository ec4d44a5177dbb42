import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Whether the kernel reads our answers. It gives each socket of a device a piece of work that never
 * ends; if it cannot start a thread for one quickly, its rescue thread takes all of them, and does
 * the first for ever: answers on the other sockets are then never read. A machine under load, as one
 * that boots, gets there. The names of the kernel's threads tell what each is at.
 */

/** A thread is started within milliseconds, or the rescue thread has the work. */
const PATIENCE_MS = 2000
const GLANCE_MS = 20

/** Waits until all `sockets` receivers of a device run; false if they do not, or cannot be seen. */
export async function receiversRun(index: number, sockets: number): Promise<boolean> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until;) {
    if (receiving(index) === sockets) return true
    await sleep(GLANCE_MS)
  }
  return false
}

/** A worker at work is called after it, behind a plus sign (wq_worker_comm in kernel/workqueue.c). */
function receiving(index: number): number {
  const work = `+nbd${index}-recv`
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && nameOf(name).endsWith(work))
    .length
}

function nameOf(process: string): string {
  try {
    return readFileSync(`/proc/${process}/comm`, 'utf8').trimEnd()
  } catch {
    // It has ended since the list was read.
    return ''
  }
}
