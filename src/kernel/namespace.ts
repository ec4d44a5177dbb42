import { closeSync, openSync } from 'node:fs'
import { chroot, joinNamespace, leaveMountNamespace, mount } from './ffi.ts'

const MS_REC = 1 << 14
const MS_PRIVATE = 1 << 18

/**
 * Does `work` in a mount namespace of its own: what it mounts is seen by nobody else but the
 * processes that it starts, and stays for as long as they run. Only this thread goes there, so
 * `work` must not wait for another. Throws `KernelRefused`.
 */
export function inPrivateMounts<T>(work: () => T): T {
  const before = openSync('/proc/thread-self/ns/mnt', 'r')
  try {
    leaveMountNamespace()
    try {
      mount('', '/', '', MS_REC | MS_PRIVATE, '')
      return work()
    } finally {
      // Gives this thread its root directory back, too.
      joinNamespace(before)
    }
  } finally {
    closeSync(before)
  }
}

/** Makes a directory the root of this thread, and of what it starts. */
export function makeRoot(directory: string): void {
  chroot(directory)
  process.chdir('/')
}
