import { readFileSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { getPriority, setPriority } from 'node:os'
import { prctl } from './ffi.ts'

const PR_CAPBSET_DROP = 24
const PR_SET_IO_FLUSHER = 57

/** linux/capability.h, and what each is kept for. */
const KEPT_CAPABILITIES: ReadonlySet<number> = new Set([
  /** DAC_OVERRIDE: image files, keys and /run, whoever owns them. */
  1,
  /** NET_ADMIN: generic netlink. */
  12,
  /** SYS_ADMIN: to reconnect, resize and disconnect an nbd device. */
  21,
  /** SYS_BOOT: a machine whose source is away may be told to restart. */
  22,
  /** SYS_NICE: to answer before others compute. */
  23,
  /** SYS_RESOURCE: to be an I/O flusher, and to be spared when memory is short. */
  24,
])

/**
 * Makes this thread, and every process that it starts, one whose memory the kernel never frees by
 * writing to a disk: that disk may be the one we serve, and then each would wait for the other.
 * Needs CAP_SYS_RESOURCE; throws `KernelRefused`.
 */
export function becomeIoFlusher(): void {
  prctl(PR_SET_IO_FLUSHER, 1)
}

/**
 * Whatever this thread starts from now on has no other capabilities than a daemon needs, although
 * it is root's: systemd spares only root's processes. Throws `KernelRefused`.
 */
export function limitCapabilities(): void {
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'))
  for (let capability = 0; capability <= last; capability++) {
    if (!KEPT_CAPABILITIES.has(capability)) prctl(PR_CAPBSET_DROP, capability)
  }
}

/** Three times as much as a thread of niceness 0 gets: each step is a quarter more (sched(7)). */
const FIRST = -5

/**
 * Has the scheduler prefer this thread, which answers, to those that it has decompress: they soon have
 * nothing to do while it waits for its turn. Without CAP_SYS_NICE, or where somebody has set a niceness,
 * everything stays as it is.
 */
export async function answerFirst(): Promise<void> {
  // Threads begin with the niceness of this one, and libuv's are made when the first has something to do.
  await stat('/')
  if (getPriority() !== 0) return
  try {
    // Linux counts it by thread, and 0 is the one that calls.
    setPriority(0, FIRST)
  } catch {
    // Slower, not wrong.
  }
}

/**
 * Never the one to be killed when memory is short: the root file system would die with us. Memory is
 * not locked, though: V8 gives pages back by madvise(2), which the kernel refuses for locked ones, and
 * V8 takes that for the end of the world.
 */
export function protectFromOutOfMemory(): void {
  writeFileSync('/proc/self/oom_score_adj', '-1000')
}
