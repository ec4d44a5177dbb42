import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { mostDirtyBytes } from '../block/quota.ts'
import type { Call, Command } from '../cli/command.ts'
import { parseDeviceFile } from '../cli/device-file.ts'
import { THIS_MACHINE, requireMemory } from '../cli/doctor/machine.ts'
import { parseKernelCommandLine } from '../cli/kernel-command-line.ts'
import { type Outcome, type Start, launchDaemon, startDaemon } from '../cli/launch.ts'
import { type OptionTexts, type Options, parseOptions } from '../cli/options.ts'
import { imageName } from '../cli/plan.ts'
import { requireRoot } from '../cli/rights.ts'
import { attachedDevices, readFacts } from '../cli/run-files.ts'
import { exitCodeOf, lineOf } from '../cli/terminal.ts'
import { webAddress } from '../cli/web-address.ts'
import { type BootWords, afterScheme, argvOf, checkedUrl, parseBootWords } from '../cli/words.ts'
import { UsageError } from '../errors.ts'
import { announce } from '../kernel/block-sysfs.ts'
import { hierarchy, leaveUnit, startUnswapped } from '../kernel/cgroup.ts'
import { limitDirtyPages } from '../kernel/dirty-pages.ts'
import { KernelLog } from '../kernel/log.ts'
import { bootCommandLine } from './command-line.ts'
import { fail, onFailOf } from './failure.ts'
import { findRoot } from './find-root.ts'
import { type Leaving, prepareToLeave } from './leave.ts'
import { startKept } from './keeper.ts'
import { LocalImage } from './local-image.ts'
import { LocalOverlay } from './local-overlay.ts'
import { wantedNetwork } from './network/ip-word.ts'
import { setUpNetwork } from './network/network.ts'
import { RULE, installRule, linkRoot, rootIsLinked } from './root-link.ts'
import { needsNetwork, shellVariables } from './shell-variables.ts'

/**
 * What happens in the initramfs, in order: read the kernel command line, start the daemon that
 * attaches the image, find the root in it, and give it a fixed name. Each call does what is left
 * to do, so that every hook that might be the first can call it.
 */

/** The root is /dev/nbd0, whatever comes later; partitions appear when the device is opened. */
const BOOT_INDEX = 0
const BOOT_DEVICE = `/dev/nbd${BOOT_INDEX}`
const MODULE_PARAMETERS = ['nbds_max=1', 'max_part=31']

export const boot: Command = {
  name: 'boot',
  summary: 'attach the root that the kernel command line names; for the initramfs',
  details: [
    'Reads the kernel command line, loads the driver, attaches the image, finds the root in it and gives it the name /dev/netcow/root. The hooks of the initramfs systems call it; netcow.cmdline(7) has the words.',
  ],
  operands: ['[netcow:URL|ROOT]'],
  options: ['stage'],
  run: runBoot,
}

async function runBoot(call: Call): Promise<number> {
  const { stage } = call.options
  const say = consoleOf(call)
  // The rule is asked for where an initramfs is made, perhaps without a /proc.
  const commandLine = stage === 'rule' ? '' : bootCommandLine()
  const exitCode = await takeStages(call, commandLine, say).catch((error: unknown) => {
    say(lineOf(error))
    return exitCodeOf(error)
  })
  // Once the root is mounted it is too late for that: what is left to do is not needed to live.
  if (exitCode !== 0 && stage !== 'leave') await fail(onFailOf(commandLine), say)
  return exitCode
}

/**
 * What goes wrong in an initramfs must be seen on the console, not in a log that nobody can reach yet.
 * Elsewhere somebody has typed the command, and looks at their terminal.
 */
function consoleOf({ terminal }: Call): Say {
  const log = KernelLog.open()
  const isRead = log === undefined || !inInitramfs()
  return (line, level = 'error') => {
    log?.write(level, line)
    if (isRead) terminal.say(level, line)
  }
}
type Say = (line: string, level?: 'error' | 'info') => void

/** The types of the file systems that the kernel unpacks an initramfs into (statfs(2)). */
const IN_MEMORY: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6])

function inInitramfs(): boolean {
  return IN_MEMORY.has(statfsSync('/').type)
}

async function takeStages(
  { operands: [operand], options: { stage }, terminal }: Call,
  commandLine: string,
  say: Say,
): Promise<number> {
  const words = parseBootWords(commandLine)
  if (stage !== 'rule') requireRoot('prepare a root')
  switch (stage) {
    case 'check':
      installRule()
      return 0
    case 'variables':
      installRule()
      await terminal.out(`${shellVariables(words)}\n`)
      return 0
    case 'network':
      if (needsNetwork(words)) {
        await setUpNetwork(wantedNetwork(commandLine), patience(words), say)
      }
      return 0
    case 'rule':
      await terminal.out(RULE)
      return 0
    case 'leave':
      await prepareToLeave(leaving(operand, words, commandLine), (line) => say(line, 'info'))
      return 0
    case undefined:
      return attachRoot(words, operand, say)
  }
}

/** The daemon knows best what it was started with: the words may not have named the image. */
function leaving(root: string | undefined, { options }: BootWords, commandLine: string): Leaving {
  if (root === undefined) throw new UsageError('--stage leave needs the directory of the root')
  const image = imageName(readFacts(BOOT_INDEX).image)
  return {
    root,
    hosts: image.kind === 'url' ? hostsOf(image.url, parseOptions(options, String)) : [],
    ipWords: parseKernelCommandLine(commandLine).flatMap(({ name, value }) =>
      name === 'ip' && value !== undefined ? [value] : [],
    ),
  }
}

/** A proxy is all that the machine speaks to; the name of a server behind it may mean nothing here. */
function hostsOf(image: URL, { proxy, mirror }: Options): string[] {
  if (proxy !== undefined) return [webAddress(proxy).hostname]
  return [image, ...mirror.map((url) => webAddress(url))].map(({ hostname }) => hostname)
}

async function attachRoot(
  words: BootWords,
  netroot: string | undefined,
  say: Say,
): Promise<number> {
  const [index] = attachedDevices()
  if (index === undefined) {
    const outcome = await attach(imageOf(words, netroot), words, say)
    if (outcome.kind === 'failed') {
      say(outcome.line)
      return outcome.exitCode
    }
    leaveUnit('netcow.service')
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

async function attach(image: string, words: BootWords, say: Say): Promise<Outcome> {
  const openMs = patience(words) ?? Infinity
  const file = parseDeviceFile(image)
  if (file === undefined) return attachWithOverlay(image, words, openMs, say)
  using local = await LocalImage.open(file, openMs, say)
  return await attachWithOverlay(local.path, words, openMs, say)
}

async function attachWithOverlay(
  image: string,
  { options }: BootWords,
  openMs: number,
  say: Say,
): Promise<Outcome> {
  const parse = (texts: OptionTexts) => parseOptions(texts, (name) => `rd.netcow.${name}=`)
  const { overlay = { kind: 'memory' } } = parse(options)
  if (overlay.kind === 'local') {
    using local = await LocalOverlay.open(overlay.place, openMs, say)
    const wanted = { ...options, overlay: local.option }
    const parsed = parse(wanted)
    checkMemory(parsed, say)
    return await launch(image, wanted, parsed, say)
  }
  // Half of RAM: the rest is for what runs, and the machine would not survive without it.
  const sized =
    overlay.kind === 'memory' && overlay.limitBytes === undefined
      ? `memory:${Math.floor(totalmem() / 2)}`
      : options.overlay
  const wanted = { ...options, ...(sized === undefined ? {} : { overlay: sized }) }
  const parsed = parse(wanted)
  // That half of it may not be free is nothing that a user has chosen.
  checkMemory(parsed, (line) => say(line, sized === options.overlay ? 'error' : 'info'))
  boundDirtyPages(parsed, say)
  return launch(image, wanted, parsed, say)
}

function checkMemory(options: Options, say: Say): void {
  const line = requireMemory(THIS_MACHINE, options)
  if (line !== undefined) say(line)
}

/** For a full overlay to be freed again. */
function boundDirtyPages({ overlay }: Options, say: Say): void {
  if (overlay?.kind !== 'memory' || overlay.limitBytes === undefined) return
  try {
    limitDirtyPages(mostDirtyBytes(overlay.limitBytes))
  } catch (error) {
    say(`the kernel may hold back more writes than a full overlay has room for: ${lineOf(error)}`)
  }
}

const SWAP = `swap: the machine may hang if that is on ${BOOT_DEVICE}`

function startKeptOrNot(
  needed: readonly string[],
  argv: readonly string[],
  options: SpawnOptions,
  say: Say,
): ChildProcess {
  try {
    return startKept(BOOT_DEVICE, needed, argv, options)
  } catch (error) {
    say(`nobody will start the daemon again if it is killed: ${lineOf(error)}`)
    return startDaemon(argv, options)
  }
}

/** The files that a daemon reads when it starts. */
const FILES = ['luks-key-file', 'header-file', 'ca', 'client-cert', 'client-key'] as const

function launch(image: string, texts: OptionTexts, options: Options, say: Say): Promise<Outcome> {
  const argv = [image, `--device=${BOOT_DEVICE}`, ...argvOf(texts)]
  const needed = FILES.map((name) => texts[name]).filter((file) => typeof file === 'string')
  const start: Start = (argv, spawnOptions) => {
    const { started, unswapped } = startUnswapped(
      () => startKeptOrNot(needed, argv, spawnOptions, say),
      hierarchy(),
    )
    if (!unswapped) say(`no control group keeps the daemon from ${SWAP}`, 'info')
    return started
  }
  const silent = () => {
    // The daemon has said it on the console itself.
  }
  return launchDaemon({ argv, options, directory: '/' }, MODULE_PARAMETERS, silent, start)
}
