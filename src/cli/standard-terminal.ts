import { once } from 'node:events'
import { LEVELS, type Level, type Terminal } from './terminal.ts'

/** The process's own streams: results on standard output, everything else on standard error. */
export class StandardTerminal implements Terminal {
  level: Level = 'warn'
  readonly watched = process.stderr.isTTY

  async out(text: string | Uint8Array): Promise<void> {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  }

  say(level: Level, line: string): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.level)) return
    process.stderr.write(`netcow: ${line}\n`)
  }

  draw(text: string): void {
    process.stderr.write(text)
  }
}
