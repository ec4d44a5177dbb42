import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { Lines } from './lines.ts'
import { CARD, CONTROL_DESCRIPTOR, type Hardware, VERDICT_DESCRIPTOR, qemuCommand } from './qemu.ts'
import { Qmp } from './qmp.ts'

/** How a machine came to its end; `crashed` is QEMU itself, which nobody had ended. */
export type End = 'powered off' | 'restarted' | 'halted' | 'killed' | 'crashed'

export interface Surroundings {
  /** A file for everything that the console says. */
  readonly log: string
  /** The user sits at the console. */
  readonly interactive: boolean
  /** Ends the machine, wherever it is. */
  readonly signal: AbortSignal
}

const KERNEL_STARTS = /^\[ +0\.000000\] Linux version /

/** A running QEMU: its console, its second serial port, and what can be done to it from outside. */
export class Machine implements AsyncDisposable {
  readonly console: Lines
  /** The second serial port, to which the guest's check reports. */
  readonly verdict: Lines
  /** Resolves when QEMU is gone. */
  readonly ended: Promise<End>
  readonly #child: ChildProcess
  readonly #qmp: Qmp
  #end: End | undefined

  static async start(hardware: Hardware, surroundings: Surroundings): Promise<Machine> {
    const { interactive, signal } = surroundings
    const [program = '', ...args] = qemuCommand(hardware, interactive)
    const child = spawn(program, args, {
      stdio: [interactive ? 'inherit' : 'pipe', 'pipe', 'inherit', 'pipe', 'pipe'],
      killSignal: 'SIGKILL',
      signal,
    })
    const ended = once(child, 'close').catch(() => once(child, 'close'))
    const qmp = await Qmp.open(socket(child, CONTROL_DESCRIPTOR))
    return new Machine(child, ended, qmp, surroundings)
  }

  private constructor(
    child: ChildProcess,
    ended: Promise<unknown>,
    qmp: Qmp,
    { log, interactive, signal }: Surroundings,
  ) {
    assert(child.stdout)
    this.#child = child
    this.#qmp = qmp
    const written = once(child.stdout.pipe(createWriteStream(log)), 'close')
    if (interactive) child.stdout.pipe(process.stdout)
    this.console = new Lines(child.stdout)
    this.verdict = new Lines(socket(child, VERDICT_DESCRIPTOR))
    qmp.on('SHUTDOWN', ({ reason }) => {
      if (reason === 'guest-shutdown') this.#end = 'powered off'
      else if (reason === 'guest-reset') this.#end = 'restarted'
      else this.#end = 'killed'
    })
    const leave = () => child.kill('SIGKILL')
    process.on('exit', leave)
    this.ended = ended.then(async () => {
      await written
      process.off('exit', leave)
      return this.#end ?? (signal.aborted ? 'killed' : 'crashed')
    })
    // QEMU goes on for ever with a kernel that has halted.
    this.console.find(/reboot: System halted/).then(
      () => this.#kill('halted'),
      () => undefined,
    )
  }

  /** Types a line at the console, of a machine that is not interactive. */
  type(line: string): void {
    assert(this.#child.stdin)
    this.#child.stdin.write(`${line}\n`)
  }

  /** Pulls the network cable out, or plugs it in again. */
  async connect(connected: boolean): Promise<void> {
    await this.#qmp.execute('set_link', { name: CARD, up: connected })
  }

  /** Stops the processors, or lets them go on. */
  async freeze(frozen: boolean): Promise<void> {
    await this.#qmp.execute(frozen ? 'stop' : 'cont')
  }

  /**
   * Lets the guest restart so many times; then a restart ends the machine. Kernels are counted: the
   * firmware of a PC resets the machine once more by itself.
   */
  async restartOnly(times: number): Promise<void> {
    let starts = 0
    for await (const line of this.console) {
      if (KERNEL_STARTS.test(line)) starts++
      if (starts <= times) continue
      await this.#qmp.execute('set-action', { reboot: 'shutdown' })
      return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill('killed')
    await this.ended
  }

  #kill(end: End): void {
    this.#end = end
    this.#child.kill('SIGKILL')
  }
}

function socket(child: ChildProcess, descriptor: number): Socket {
  const stream = child.stdio[descriptor]
  assert(stream instanceof Socket)
  return stream
}
