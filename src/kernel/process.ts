import { writeFileSync } from 'node:fs'
import { prctl } from './ffi.ts'

const PR_SET_IO_FLUSHER = 57

/**
 * Makes this thread, and every process that it starts, one whose memory the kernel never frees by
 * writing to a disk: that disk may be the one we serve, and then each would wait for the other.
 * Needs CAP_SYS_RESOURCE; throws `KernelRefused`.
 */
export function becomeIoFlusher(): void {
  prctl(PR_SET_IO_FLUSHER, 1)
}

/** Never the one to be killed when memory is short: the root file system would die with us. */
export function protectFromOutOfMemory(): void {
  writeFileSync('/proc/self/oom_score_adj', '-1000')
}
