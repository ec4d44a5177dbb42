import { LEVELS, type Level, type Terminal } from './terminal.ts'

/** The process's own streams: results on standard output, everything else on standard error. */
export class StandardTerminal implements Terminal {
  level: Level = 'warn'
  readonly watched = process.stderr.isTTY

  /** Waits until they are on their way: the bytes belong to the caller again. */
  out(text: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => process.stdout.write(text, () => resolve()))
  }

  say(level: Level, line: string): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.level)) return
    process.stderr.write(`netcow: ${line}\n`)
  }

  draw(text: string): void {
    process.stderr.write(text)
  }
}
