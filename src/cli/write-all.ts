import { writeSync } from 'node:fs'

/**
 * Writes all of `bytes` to an open file or disk, waiting for it. A call that writes less, as on a disk
 * that is full, fails only when it is repeated.
 */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(descriptor, bytes, done, bytes.length - done)
}
