import { writeSync } from 'node:fs'
import { KernelRefused, UsageError, codeOf, reasonOf } from '../errors.ts'

/**
 * Writes all of `bytes` to an open file or disk, waiting for it. A call that writes less, as on a disk
 * that is full, fails only when it is repeated.
 */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(descriptor, bytes, done, bytes.length - done)
}

/** Of a place that was well chosen, and is full or broken. */
const NO_ROOM: ReadonlySet<string | undefined> = new Set(['EDQUOT', 'EFBIG', 'EIO', 'ENOSPC'])

/** @param what could not be written, as in 'cannot write ...' */
export function unwritten(
  what: string,
  cause: unknown,
  where: Readonly<Record<string, string>> = {},
): KernelRefused | UsageError {
  const Kind = NO_ROOM.has(codeOf(cause)) ? KernelRefused : UsageError
  return new Kind(`cannot write ${what}: ${reasonOf(cause)}`, { where, cause })
}
