import { setTimeout as sleep } from 'node:timers/promises'
import { type Options, parseOptions } from '../cli/options.ts'
import { parseKernelCommandLine } from '../cli/kernel-command-line.ts'
import { endMachine } from '../kernel/restart.ts'

/** What `rd.netcow.onfail=` asks for when the boot fails. */
export type OnFail = Options['onfail']

/** Long enough to read the line on the console that says why. */
const PAUSE_MS = 10_000

/** Its value, whatever else is wrong with the kernel command line; `shell` if it is wrong itself. */
export function onFailOf(commandLine: string): OnFail {
  const words = parseKernelCommandLine(commandLine)
  const word = words.findLast(({ name }) => /^(?:rd\.)?netcow\.onfail$/.test(name))
  if (word?.value === undefined) return 'shell'
  try {
    return parseOptions({ onfail: word.value }, (name) => name).onfail
  } catch {
    return 'shell'
  }
}

/** Ends the machine, if that is what the user wants; else the initramfs does what it always does. */
export async function fail(onFail: OnFail, say: (line: string) => void): Promise<void> {
  switch (onFail) {
    case 'shell':
      return
    case 'reboot':
    case 'poweroff':
      say(`${onFail} in ${PAUSE_MS / 1000} s, as rd.netcow.onfail says`)
      await sleep(PAUSE_MS)
      endMachine(onFail)
  }
}
