import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from '../cli/command.ts'
import { detachDevice } from '../cli/detach.ts'
import { attachedDevices, readFacts } from '../cli/run-files.ts'
import { lineOf } from '../cli/terminal.ts'
import { isConnected } from '../kernel/block-sysfs.ts'
import { syncAll } from '../kernel/ffi.ts'
import { KernelLog } from '../kernel/log.ts'
import { mountPoints, remountReadOnly, unmountLazily, unmountNow } from '../kernel/mounts.ts'
import { type Ending, endMachine, isEnding } from '../kernel/restart.ts'

/**
 * The last program of a machine: systemd-shutdown has stopped everything, made the refuge the root
 * directory and the old root /oldroot, and becomes this. Takes the root apart in order: the
 * processes on it, the file systems, the device, the daemon; then ends the machine. Whatever goes
 * wrong on the way, the machine ends: as process 1 nobody else would do it.
 */

const OLD_ROOT = '/oldroot'
/** File systems in file systems: each round frees what the one before was mounted on. */
const MOST_ROUNDS = 32
/** An overlay on a disk may have much to write. */
const DAEMON_ENDS_MS = 30_000
const LOOK_AGAIN_MS = 20

/** Not for people: systemd-shutdown calls it, with the ending as its first word. */
export const shutdown: Command = {
  name: 'shutdown',
  summary: 'take the root apart and end the machine; the last process does',
  operands: ['ENDING'],
  options: [],
  run: ({ operands: [word = ''] }) => runShutdown(isEnding(word) ? word : 'reboot'),
}

async function runShutdown(ending: Ending): Promise<number> {
  const log = KernelLog.open()
  const say = (line: string) => log?.write('warn', line)
  try {
    endProcesses(say)
    takeApart(say)
    await detachAll(say)
    say(`the root is taken apart: ${ending}`)
  } catch (error) {
    say(lineOf(error))
  }
  return finish(ending)
}

function finish(ending: Ending): never {
  syncAll()
  endMachine(ending)
  // Only halting processors come back from there.
  for (;;);
}

/** Kills what still runs from the old root, but for daemons that say with an '@' who they are. */
function endProcesses(say: (line: string) => void): void {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid || isStorageDaemon(pid)) continue
    const links = ['exe', 'cwd', 'root', ...descriptors(pid)]
    if (!links.some((link) => isOfRoot(target(`/proc/${pid}/${link}`)))) continue
    say(`process ${pid} is still on the root: killed`)
    process.kill(Number(pid), 'SIGKILL')
  }
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
function takeApart(say: (line: string) => void): void {
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

function attempt(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}

/** A device that is still in use stays, and its daemon with it. */
async function detachAll(say: (line: string) => void): Promise<void> {
  for (const index of attachedDevices()) {
    const daemon = readFacts(index).pid
    try {
      await detachDevice(index)
      say(`/dev/nbd${index} is detached`)
    } catch (error) {
      if (isConnected(index)) say(`/dev/nbd${index} stays: ${lineOf(error)}`)
      continue
    }
    await ended(daemon)
  }
}

/** Until a daemon has ended, what it writes to may not be complete. */
async function ended(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < DAEMON_ENDS_MS; waitedMs += LOOK_AGAIN_MS) {
    if (commandLine(`${pid}`) === '') return
    await sleep(LOOK_AGAIN_MS)
  }
}
