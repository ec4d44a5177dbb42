import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { asRoot, runAsRoot } from '../../qemu-harness/command.ts'
import { listens } from '../../test/fixtures/listening.ts'

/** USER_HZ, the same on every architecture that netcow knows. */
const TICKS_PER_SECOND = 100
const START_MS = 20_000
const LOOK_AGAIN_MS = 10

/** A server under measurement, from the moment it takes connections. */
export class NbdServerProcess implements AsyncDisposable {
  readonly socket: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child
    this.socket = socket
  }

  /** Throws with what the server said if it ends before it listens on `socket`. */
  static async start(command: readonly string[], socket: string): Promise<NbdServerProcess> {
    const [program = '', ...args] = asRoot(command)
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const said = text(child.stderr)
    const server = new NbdServerProcess(child, socket)
    const deadline = performance.now() + START_MS
    while (!(await listens({ path: socket }))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        await server[Symbol.asyncDispose]()
        throw new Error(`${command.join(' ')} does not listen: ${await said}`)
      }
      await sleep(LOOK_AGAIN_MS)
    }
    return server
  }

  /** The most memory that it had resident so far (VmHWM), in bytes. */
  async peakBytes(): Promise<number> {
    const status = await readFile(`/proc/${await this.#process()}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  /** What it took of all processors so far, in seconds. */
  async processorSeconds(): Promise<number> {
    const status = await readFile(`/proc/${await this.#process()}/stat`, 'utf8')
    const fields = status.slice(status.lastIndexOf(')')).split(' ')
    return (Number(fields[12]) + Number(fields[13])) / TICKS_PER_SECOND
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    await runAsRoot(['kill', '-TERM', `${await this.#process()}`]).catch(() => {})
    await ended
  }

  /** The server itself, which sudo has as a child. */
  async #process(): Promise<number> {
    let pid = this.#child.pid ?? 0
    for (;;) {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
      const [first] = children.trim().split(' ')
      if (first === undefined || first === '') return pid
      pid = Number(first)
    }
  }
}
