import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** A program that ended badly, with the end of what it said. */
class CommandFailed extends Error {
  constructor(command: readonly string[], outcome: string, output: string) {
    const tail = output.trimEnd().split('\n').slice(-TAIL_LINES)
    super([`${command.join(' ')}: ${outcome}`, ...tail].join('\n  '))
    this.name = new.target.name
  }
}
const TAIL_LINES = 30

/** Runs a program to its end without input and returns what it printed to its standard output. */
export async function run(command: readonly string[], directory?: string): Promise<string> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    ...(directory !== undefined && { cwd: directory }),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  if (code === 0) return output
  throw new CommandFailed(command, signal ? `ended by ${signal}` : `exit code ${code}`, errors)
}

/** Runs a program as root: directly, or through sudo. */
export function runAsRoot(command: readonly string[], directory?: string): Promise<string> {
  return run(asRoot(command), directory)
}

export function asRoot(command: readonly string[]): readonly string[] {
  return process.getuid?.() === 0 ? command : ['sudo', ...command]
}
