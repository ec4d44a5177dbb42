import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from '../cli/command.ts'
import { detachDevice } from '../cli/detach.ts'
import { OWN_EXECUTABLE, scriptOf } from '../cli/launch.ts'
import { attachedDevices, readFacts } from '../cli/run-files.ts'
import { lineOf } from '../cli/terminal.ts'
import { isConnected, mountPointsOf } from '../kernel/block-sysfs.ts'
import { syncAll } from '../kernel/ffi.ts'
import { ended } from '../kernel/lifetime.ts'
import { KernelLog } from '../kernel/log.ts'
import { mountPoints, remountReadOnly, unmountLazily, unmountNow } from '../kernel/mounts.ts'
import { type Ending, endMachine, isEnding } from '../kernel/restart.ts'

/**
 * The last program of a machine: systemd-shutdown has stopped everything, made the refuge the root
 * directory and the old root /oldroot, and becomes this. Takes the root apart in order: the
 * processes on it, the file systems, the device, the daemon; then ends the machine. Whatever goes
 * wrong on the way, the machine ends: as process 1 nobody else would do it. So the work is that of a
 * second process, which may wait for ever for a server that is gone, or for room in an overlay.
 */

const OLD_ROOT = '/oldroot'
/** File systems in file systems: each round frees what the one before was mounted on. */
const MOST_ROUNDS = 32
/** One that waits for the server does not end. */
const PROCESS_ENDS_MS = 5000
const DONE = 'the root is taken apart'
/** How long the work may take: what systemd waits for anything, unless it says, and ten minutes at most. */
const USUAL_S = 90
const MOST_S = 600

/** Not for people: systemd-shutdown calls it, with the ending as its first word. */
export const shutdown: Command = {
  name: 'shutdown',
  summary: 'have the root taken apart and end the machine; the last process does',
  details: [],
  operands: ['ENDING', '[SECONDS]'],
  options: [],
  run: ({ operands: [word = '', seconds] }) =>
    runShutdown(isEnding(word) ? word : 'reboot', Number(seconds ?? USUAL_S)),
}

/** Not for people: `shutdown` calls it. */
export const takeApart: Command = {
  name: 'take-apart',
  summary: 'take apart the root that the machine had',
  details: [],
  operands: [],
  options: [],
  run: async () => {
    await takeRootApart(consoleLines())
    return 0
  },
}

/** The words for this command, from those of systemd-shutdown: its ending, and its patience. */
export function lastWords([ending = 'poweroff', ...options]: readonly string[]): string[] {
  const [, digits] = /^(\d+)us$/.exec(options[options.indexOf('--timeout') + 1] ?? '') ?? []
  const seconds = digits === undefined ? USUAL_S : Math.ceil(Number(digits) / 1e6)
  return [shutdown.name, ending, `${Math.min(MOST_S, seconds)}`]
}

async function runShutdown(ending: Ending, seconds: number): Promise<number> {
  const say = consoleLines()
  say(`${await within(seconds, say)}: ${ending}`)
  endMachine(ending)
  // Only halting processors come back from there.
  for (;;);
}

/** Has the root taken apart, and says what came of it. */
async function within(seconds: number, say: (line: string) => void): Promise<string> {
  const child = spawn(OWN_EXECUTABLE, [...scriptOf(process.argv), takeApart.name], {
    stdio: 'ignore',
  })
  const late = sleep(seconds * 1000, undefined, { ref: false })
  try {
    const exit = await Promise.race([once(child, 'exit'), late])
    if (exit === undefined)
      return `the root is not taken apart after ${seconds} s; what was not written is lost`
    return exit[0] === 0 ? DONE : 'the root could not be taken apart'
  } catch (error) {
    say(`nobody sees to it that this ends: ${lineOf(error)}`)
    await takeRootApart(say)
    return DONE
  }
}

function consoleLines(): (line: string) => void {
  const log = KernelLog.open()
  return (line) => log?.write('warn', line)
}

async function takeRootApart(say: (line: string) => void): Promise<void> {
  try {
    await endProcesses(say)
    // Those of other devices first: their daemons may run from the root, and write to it.
    await detachAll(say, () => {})
    unmountAll(say)
    await detachAll(say, say)
  } catch (error) {
    say(lineOf(error))
  } finally {
    syncAll()
  }
}

/** Kills what still holds the old root, but for what serves it and other disks. */
async function endProcesses(say: (line: string) => void): Promise<void> {
  const spared = ourProcesses()
  const killed: number[] = []
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || spared.has(Number(pid)) || !holdsRoot(pid)) continue
    say(`process ${pid} is still on the root: killed`)
    // It may have ended by itself in the meantime.
    if (attempt(() => process.kill(Number(pid), 'SIGKILL'))) killed.push(Number(pid))
  }
  await Promise.all(killed.map((pid) => ended(pid, PROCESS_ENDS_MS)))
}

/** This process, the one that waits for it, and the daemons, each with the keeper that would start it again. */
function ourProcesses(): ReadonlySet<number> {
  const spared = new Set([process.pid, process.ppid])
  for (const index of attachedDevices()) {
    attempt(() => {
      const { pid } = readFacts(index)
      spared.add(pid)
      const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      if (parent !== undefined && isStorageDaemon(parent)) spared.add(Number(parent))
    })
  }
  return spared
}

/**
 * An '@' says who serves a disk, which may be a file on the root, but also who only wants to live long,
 * as plymouthd does: it is spared as long as it does not run from the root itself.
 */
function holdsRoot(pid: string): boolean {
  const links = ['exe', 'cwd', 'root', ...(isStorageDaemon(pid) ? [] : descriptors(pid))]
  return links.some((link) => isOfRoot(target(`/proc/${pid}/${link}`)))
}

/** See ARGV0 in cli/launch.ts. */
function isStorageDaemon(pid: string): boolean {
  return commandLine(pid).startsWith('@')
}

/** Empty for threads of the kernel, and for processes that have ended, though nobody asked how. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

function isOfRoot(path: string): boolean {
  return path.startsWith(OLD_ROOT) && !isOfKernel(path)
}

/** What is mounted there has no disk under it, and the same is mounted in the refuge, too. */
function isOfKernel(path: string): boolean {
  return ['dev', 'proc', 'sys', 'run'].some((name) => {
    return path === `${OLD_ROOT}/${name}` || path.startsWith(`${OLD_ROOT}/${name}/`)
  })
}

function descriptors(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((descriptor) => `fd/${descriptor}`)
  } catch {
    return []
  }
}

function target(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    // A thread of the kernel has none, and processes end.
    return ''
  }
}

/** Unmounts everything of the old root; what cannot be is at least no longer written to. */
function unmountAll(say: (line: string) => void): void {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const before = oldMounts()
    if (before.length === 0) return
    for (const point of before) {
      if (attempt(() => unmountNow(point)) || !isOfKernel(point)) continue
      // The daemon has the kernel's log open, which is in /dev.
      attempt(() => unmountLazily(point))
    }
    if (oldMounts().length === before.length) break
  }
  for (const point of oldMounts()) {
    const made = attempt(() => remountReadOnly(point)) ? 'only made read-only' : 'left as it is'
    say(`${point} is in use, and ${made}`)
  }
}

/** The latest first: it may be mounted on one before. */
function oldMounts(): string[] {
  return mountPoints()
    .filter((point) => point === OLD_ROOT || point.startsWith(`${OLD_ROOT}/`))
    .toReversed()
}

function attempt(work: () => unknown): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}

/** A device that is still in use stays, and its daemon with it; `complain` is told why. */
async function detachAll(
  say: (line: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  for (const index of attachedDevices()) {
    try {
      unmountAllOf(index)
      await detachDevice(index)
      say(`/dev/nbd${index} is detached`)
    } catch (error) {
      if (isConnected(index)) complain(`/dev/nbd${index} stays: ${lineOf(error)}`)
    }
  }
}

/**
 * What is below an overlayfs is mounted beside it, in /run, and perhaps with the overlayfs on top. What
 * older versions of dracut leave of it below the root itself cannot be reached any more.
 */
function unmountAllOf(index: number): void {
  for (let round = 0; round < MOST_ROUNDS; round++)
    if (!mountPointsOf(index).some((point) => attempt(() => unmountNow(point)))) return
}
