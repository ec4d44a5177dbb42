import { fstatSync } from 'node:fs'
import { plain } from './plain.ts'
import { LEVELS, type Level, type Terminal } from './terminal.ts'
import { unwritten, writeAll } from './write-all.ts'

const STANDARD_OUTPUT = 1

/** The process's own streams: results on standard output, everything else on standard error. */
export class StandardTerminal implements Terminal {
  level: Level = 'warn'
  readonly watched = process.stderr.isTTY

  /** Waits until they are on their way: the bytes belong to the caller again. */
  async out(text: string | Uint8Array): Promise<void> {
    if (isStream()) {
      await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()))
      return
    }
    try {
      writeAll(STANDARD_OUTPUT, typeof text === 'string' ? Buffer.from(text) : text)
    } catch (cause) {
      throw unwritten('to standard output', cause)
    }
  }

  say(level: Level, line: string): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.level)) return
    // A stack has several lines.
    const shown = line.split('\n').map(plain).join('\n')
    process.stderr.write(`netcow: ${shown}\n`)
  }

  draw(line: string): void {
    const { columns } = process.stderr
    // A terminal that does not know its width says 0. The last column would bring some to the next line.
    process.stderr.write(`\r${line.slice(0, (columns || 80) - 1)}`)
  }

  endDrawing(): void {
    process.stderr.write('\n')
  }
}

/**
 * Whether it may have to be waited for. Of what is written to a file Node forgets what a full disk had
 * no room for, and of what is written to a disk everything.
 */
function isStream(): boolean {
  const stats = fstatSync(STANDARD_OUTPUT)
  return process.stdout.isTTY || stats.isFIFO() || stats.isSocket()
}
