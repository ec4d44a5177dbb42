import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import type { Call, Command } from '../cli/command.ts'
import { type Outcome, launchDaemon } from '../cli/launch.ts'
import { attachedDevices } from '../cli/status-file.ts'
import { parseOptions } from '../cli/options.ts'
import { exitCodeOf, lineOf } from '../cli/terminal.ts'
import { type BootWords, afterScheme, argvOf, checkedUrl, parseBootWords } from '../cli/words.ts'
import { UsageError } from '../errors.ts'
import { announce } from '../kernel/block-sysfs.ts'
import { KernelLog } from '../kernel/log.ts'
import { findRoot } from './find-root.ts'
import { wantedNetwork } from './network/ip-word.ts'
import { setUpNetwork } from './network/network.ts'
import { RULE, installRule, linkRoot, rootIsLinked } from './root-link.ts'
import { shellVariables } from './shell-variables.ts'

/**
 * What happens in the initramfs, in order: read the kernel command line, start the daemon that
 * attaches the image, find the root in it, and give it a fixed name. Each call does what is left
 * to do, so that every hook that might be the first can call it.
 */

/** The root is /dev/nbd0, whatever comes later; partitions appear when the device is opened. */
const BOOT_INDEX = 0
const MODULE_PARAMETERS = ['nbds_max=1', 'max_part=31']

export const boot: Command = {
  name: 'boot',
  summary: 'attach the root that the kernel command line names; for the initramfs',
  operands: ['[netcow:URL]'],
  options: ['stage'],
  run: runBoot,
}

async function runBoot(call: Call): Promise<number> {
  const say = consoleOf(call)
  try {
    return await takeStages(call, say)
  } catch (error) {
    say(lineOf(error))
    return exitCodeOf(error)
  }
}

/** What goes wrong here must be seen on the console, not in a log that nobody can reach yet. */
function consoleOf({ terminal }: Call): (line: string) => void {
  const log = KernelLog.open()
  return log === undefined
    ? (line) => terminal.say('error', line)
    : (line) => log.write('error', line)
}

async function takeStages(
  { operands: [netroot], options, terminal }: Call,
  say: (line: string) => void,
): Promise<number> {
  if (options.stage === 'rule') {
    await terminal.out(RULE)
    return 0
  }
  const commandLine = readFileSync('/proc/cmdline', 'utf8')
  const words = parseBootWords(commandLine)
  switch (options.stage) {
    case 'check':
      installRule()
      return 0
    case 'variables':
      installRule()
      await terminal.out(`${shellVariables(words)}\n`)
      return 0
    case 'network':
      await setUpNetwork(wantedNetwork(commandLine), patience(words), say)
      return 0
    case undefined:
      return attachRoot(words, netroot, say)
  }
}

async function attachRoot(
  words: BootWords,
  netroot: string | undefined,
  say: (line: string) => void,
): Promise<number> {
  const [index] = attachedDevices()
  if (index === undefined) {
    const outcome = await attach(imageOf(words, netroot), words)
    if (outcome.kind === 'failed') {
      say(outcome.line)
      return outcome.exitCode
    }
  }
  if (!words.findsRoot || rootIsLinked()) return 0
  linkRoot(await findRoot(BOOT_INDEX))
  await announce(BOOT_INDEX)
  return 0
}

/** Undefined means for ever. */
function patience({ options }: BootWords): number | undefined {
  const { timeout } = parseOptions(options, String)
  return timeout === undefined ? undefined : timeout * 1000
}

/** The word of the command line, or what a DHCP server or dracut's netroot said. */
function imageOf(words: BootWords, netroot: string | undefined): string {
  if (words.image !== undefined) return words.image
  const url = afterScheme(netroot)
  if (url !== undefined) return checkedUrl(url)
  throw new UsageError('the kernel command line names no image', {
    advice: 'add root=netcow:URL or rd.netcow=URL',
  })
}

function attach(image: string, { options }: BootWords): Promise<Outcome> {
  const overlay = options.overlay ?? 'memory'
  // Half of RAM: the rest is for what runs, and the machine would not survive without it.
  const sized = overlay === 'memory' ? `memory:${Math.floor(totalmem() / 2)}` : overlay
  const argv = [image, `--device=/dev/nbd${BOOT_INDEX}`, ...argvOf({ ...options, overlay: sized })]
  return launchDaemon(argv, MODULE_PARAMETERS, () => {
    // The daemon has said it on the console itself.
  })
}
