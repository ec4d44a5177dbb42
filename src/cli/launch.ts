import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { KernelRefused } from '../errors.ts'
import { becomeIoFlusher } from '../kernel/process.ts'
import { loadNbd } from '../kernel/modules.ts'
import { type Message, parseMessage } from './channel.ts'

/**
 * systemd spares processes of root whose first word begins with '@' when it kills what is left at
 * switch_root and at shutdown (systemd.io/ROOT_STORAGE_DAEMONS).
 */
const ARGV0 = '@netcow'

const RUN = '/run'

/**
 * Buffers of an image come and go by the megabyte. glibc keeps what is freed, in pieces, and the
 * more of it the longer it runs, unless it is told to give large pieces back at once: 81 MB in place
 * of 113 with a cache of 64 MiB, at no cost in time. It listens only while a process starts.
 */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '131072' } as const

/** What became of a daemon. */
export type Outcome = Exclude<Message, { kind: 'waiting' }>

/**
 * Starts a process that serves a device and lives on by itself. Resolves with what became of it:
 * attached or failed; `waiting` hears the lines in between.
 *
 * @param argv the words of `netcow attach`
 */
export async function launchDaemon(
  argv: readonly string[],
  moduleParameters: readonly string[],
  waiting: (line: string) => void,
): Promise<Outcome> {
  await loadNbd(moduleParameters)
  // Inherited by the daemon and, there, by its threads.
  becomeIoFlusher()
  const child = spawn(process.execPath, [...scriptOf(process.argv), 'daemon', ...argv], {
    argv0: ARGV0,
    env: { ...process.env, ...MALLOC },
    // Outlives the initramfs, whatever becomes of its name: leases are read there for ever.
    cwd: RUN,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const over = once(child, 'exit')
  child.unref()
  const channel = child.stdio[3]
  for await (const line of createInterface({ input: channel as Readable })) {
    const message = parseMessage(line)
    if (message.kind !== 'waiting') return message
    waiting(message.line)
  }
  const [code, signal] = await over
  throw new KernelRefused(`the daemon ended before the device was there (${signal ?? code})`)
}

/** From source the executable is Node and needs its script; baked, it is netcow itself. */
function scriptOf(argv: readonly string[]): readonly string[] {
  const script = argv[1]
  return script !== undefined && script.endsWith('.ts') ? [script] : []
}
