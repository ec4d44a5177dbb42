import { reboot } from './ffi.ts'

/** The ends that a machine can come to: the words of systemd, and the numbers of reboot(2). */
const COMMANDS = {
  poweroff: 0x4321fedc,
  reboot: 0x01234567,
  halt: 0xcdef0123,
  /** Starts the kernel that kexec has loaded. */
  kexec: 0x45584543,
} as const

export type Ending = keyof typeof COMMANDS

export function isEnding(word: string): word is Ending {
  return Object.hasOwn(COMMANDS, word)
}

/** Ends this machine at once; nothing is stopped, written or unmounted first. */
export function endMachine(ending: Ending): void {
  reboot(COMMANDS[ending])
}
