import { isNetcowError } from '../errors.ts'

export const LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type Level = (typeof LEVELS)[number]

/** Where a command writes: results to one side, lines about its doings to the other. */
export interface Terminal {
  /** Writes a result; the text brings its own line ends. */
  out(text: string | Uint8Array): Promise<void>
  /** Says one line to the user, unless they asked for less. */
  say(level: Level, line: string): void
  /** Whether a person watches the lines, so that progress is worth drawing. */
  readonly watched: boolean
  /** Draws over the last line, as much as fits into it; only where `watched`. */
  draw(line: string): void
  /** Leaves what was drawn standing. */
  endDrawing(): void
}

/** The line of an error; what netcow did not foresee is our bug and says so. */
export function lineOf(error: unknown): string {
  if (isNetcowError(error)) return error.line
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `internal error: ${text.replaceAll(/\s+/g, ' ')}; please report it with --log debug`
}

export function exitCodeOf(error: unknown): number {
  return isNetcowError(error) ? error.exitCode : 1
}

/** The stack behind a line, with its causes, for --log debug. */
export function stackOf(error: unknown): string {
  const parts: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) parts.push(at.stack ?? at.message)
  return parts.join('\ncaused by ')
}
