import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** A script that runs beside a machine: it says `ready`, and ends when its standard input does. */
export class Companion implements AsyncDisposable {
  readonly pid: number
  readonly #input: Writable
  readonly #ended: Promise<unknown>

  /** Resolves when the script is ready; throws what it complained of if it ends before. */
  static async start(command: readonly string[]): Promise<Companion> {
    const [program = '', ...args] = command
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const ended = once(child, 'close')
    const complaint = text(child.stderr)
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'ready') return new Companion(child, child.stdin, child.stdout, ended)
    }
    await ended
    throw new Error(`${command.join(' ')} ended: ${(await complaint).trim()}`)
  }

  private constructor(
    { pid = 0 }: ChildProcess,
    input: Writable,
    output: Readable,
    ended: Promise<unknown>,
  ) {
    this.pid = pid
    this.#input = input
    this.#ended = ended
    // What it says later is of no use, and must not keep it waiting.
    output.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#input.end()
    await this.#ended
  }
}
