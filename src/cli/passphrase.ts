import { openSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import type { ImagePlan } from '../plan.ts'
import type { Terminal } from './terminal.ts'

/** As often as cryptsetup asks. */
const TRIES = 3
/** A longer line is no passphrase that someone typed. */
const MOST_BYTES = 512

/**
 * The same plan, which asks the person at the terminal for the passphrase of an encrypted image
 * unless the user named a file. For commands in the foreground.
 */
export function asking<Plan extends ImagePlan>(plan: Plan, terminal: Terminal): Plan {
  if (plan.passphrase !== undefined || !terminal.watched) return plan
  return {
    ...plan,
    passphrase: async (image: string, refused: number) => {
      if (refused > 0) terminal.say('warn', 'the passphrase opens none of the key slots')
      return refused < TRIES ? typed(`Passphrase for ${image}: `) : undefined
    },
  }
}

/** Asks on the terminal of this process, whatever its streams are; undefined if it has none. */
async function typed(question: string): Promise<Uint8Array | undefined> {
  const descriptor = terminalDescriptor()
  if (descriptor === undefined) return undefined
  const { ReadStream, WriteStream } = await import('node:tty')
  const screen = new WriteStream(descriptor)
  const keys = new ReadStream(descriptor)
  // Without echo. Node itself takes it back where a signal ends the process.
  keys.setRawMode(true)
  try {
    screen.write(question)
    return await lineOf(keys)
  } finally {
    keys.setRawMode(false)
    screen.write('\n')
    keys.destroy()
  }
}

function terminalDescriptor(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined
  }
}

const ENTER = [0x0a, 0x0d]
const GIVES_UP = [0x03, 0x04] // Ctrl-C, Ctrl-D
const KILL_LINE = 0x15 // Ctrl-U
const ERASE = [0x08, 0x7f]

/** What is typed up to the end of the line, edited as terminals let people edit. */
async function lineOf(keys: AsyncIterable<unknown>): Promise<Uint8Array> {
  const bytes: number[] = []
  for await (const chunk of keys) {
    if (!(chunk instanceof Uint8Array)) continue
    for (const byte of chunk) {
      if (ENTER.includes(byte)) return Uint8Array.from(bytes)
      if (GIVES_UP.includes(byte)) throw new UsageError('no passphrase was given')
      if (byte === KILL_LINE) bytes.length = 0
      else if (ERASE.includes(byte)) erase(bytes)
      else if (bytes.length < MOST_BYTES) bytes.push(byte)
    }
  }
  throw new UsageError('no passphrase was given: the terminal is gone')
}

/** Takes back one character of UTF-8, whose later bytes begin with the bits 10. */
function erase(bytes: number[]): void {
  while (((bytes.pop() ?? 0) & 0xc0) === 0x80);
}
