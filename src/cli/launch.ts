import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { KernelRefused } from '../errors.ts'
import { becomeIoFlusher, limitCapabilities } from '../kernel/process.ts'
import { loadNbd } from '../kernel/modules.ts'
import { type Message, parseMessage } from './channel.ts'
import { heapOptions } from './heap-limit.ts'
import type { Options } from './options.ts'

/**
 * systemd spares processes of root whose first word begins with '@' when it kills what is left at
 * switch_root and at shutdown (systemd.io/ROOT_STORAGE_DAEMONS).
 */
const ARGV0 = '@netcow'

/**
 * Buffers of an image come and go by the megabyte. glibc keeps what is freed, in pieces, and the
 * more of it the longer it runs, unless it is told to give large pieces back at once: 81 MB in place
 * of 113 with a cache of 64 MiB, at no cost in time. It listens only while a process starts.
 */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '131072' } as const

/**
 * The executable of this process, by its inode: after switch_root its path leads nowhere, or to
 * another one.
 */
export const OWN_EXECUTABLE = '/proc/self/exe'

/** What a daemon is started with. */
export interface Launch {
  /** The words of `netcow attach`, and the options that they stand for. */
  readonly argv: readonly string[]
  readonly options: Options
  /** What relative paths in them are relative to. */
  readonly directory: string
}

/** What became of a daemon. */
export type Outcome = Exclude<Message, { kind: 'waiting' }>

/** A process that a daemon is, or that keeps one. */
export type Start = (argv: readonly string[], options: SpawnOptions) => ChildProcess

/**
 * Starts a process that serves a device and lives on by itself. Resolves with what became of it:
 * attached or failed; `waiting` hears the lines in between.
 *
 * @param start makes the process of its words
 */
export async function launchDaemon(
  { argv, options, directory }: Launch,
  moduleParameters: readonly string[],
  waiting: (line: string) => void,
  start: Start = startDaemon,
): Promise<Outcome> {
  await loadNbd(moduleParameters)
  // Inherited by the daemon and, there, by its threads.
  becomeIoFlusher()
  limitCapabilities()
  const child = start(argv, {
    env: daemonEnvironment(options),
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  child.unref()
  return await outcomeOf(child, waiting)
}

/** What becomes of a daemon, which speaks through descriptor 3. Throws `KernelRefused` if it does not say. */
export async function outcomeOf(
  child: ChildProcess,
  waiting: (line: string) => void,
): Promise<Outcome> {
  const over = once(child, 'exit')
  const channel = child.stdio[3] as Readable
  try {
    for await (const line of createInterface({ input: channel })) {
      const message = parseMessage(line)
      if (message.kind !== 'waiting') return message
      waiting(message.line)
    }
  } finally {
    // Whoever keeps the daemon has the other end, too, and would keep us waiting for its end.
    channel.destroy()
  }
  // Whoever keeps it may end later, and nothing else would keep this process until then.
  child.ref()
  const [code, signal] = await over
  throw new KernelRefused(`the daemon ended before the device was there (${signal ?? code})`)
}

/** What bounds the memory of a process that serves a device, read when it starts. */
export function daemonEnvironment(options: Pick<Options, 'cache' | 'overlay'>): NodeJS.ProcessEnv {
  return { ...process.env, ...MALLOC, NODE_OPTIONS: heapOptions(options) }
}

/** The daemon as a process of its own. */
export function startDaemon(argv: readonly string[], options: SpawnOptions): ChildProcess {
  const words = [...scriptOf(process.argv), 'daemon', ...argv]
  return spawn(process.execPath, words, { ...options, argv0: ARGV0 })
}

/** From source the executable is Node and needs its script; baked, it is netcow itself. */
export function scriptOf(argv: readonly string[]): readonly string[] {
  const script = argv[1]
  return script !== undefined && script.endsWith('.ts') ? [script] : []
}
