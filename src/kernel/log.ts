import { openSync, writeSync } from 'node:fs'

/** Levels of the kernel's log (syslog(2)): an error shows on a quiet console, a warning may not. */
const PRIORITY = { error: 3, warn: 4, info: 6, debug: 7 } as const

/** Lines in the kernel's log, which shows them on the console and keeps them for dmesg. */
export class KernelLog {
  readonly #fd: number

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Opened once and kept: the initramfs and its /dev are gone when the lines come. */
  static open(): KernelLog | undefined {
    try {
      return new KernelLog(openSync('/dev/kmsg', 'a'))
    } catch {
      return undefined
    }
  }

  write(level: keyof typeof PRIORITY, line: string): void {
    try {
      writeSync(this.#fd, `<${PRIORITY[level]}>netcow: ${line}\n`)
    } catch {
      // The kernel limits the rate of such lines; losing one is no reason to fail.
    }
  }
}
