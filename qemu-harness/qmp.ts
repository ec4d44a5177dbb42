import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import * as z from 'zod/mini'

/** The messages of the QEMU Machine Protocol (docs/interop/qmp-spec in QEMU) that we know. */
const Message = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ return: z.unknown(), id: z.number() }),
  z.object({ error: z.object({ desc: z.string() }), id: z.number() }),
  z.object({ event: z.string(), data: z.optional(z.record(z.string(), z.unknown())) }),
])

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A QEMU that crashes may end in the middle of a line. */
function parsed(line: string): z.infer<typeof Message> | undefined {
  try {
    return Message.parse(JSON.parse(line))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** A control connection to one QEMU. Emits its events by their names. */
export class Qmp extends EventEmitter<Record<string, [Record<string, unknown>]>> {
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  #lastId = 0

  /** Takes the connection through its greeting. */
  static async open(socket: Socket): Promise<Qmp> {
    const qmp = new Qmp(socket)
    await qmp.execute('qmp_capabilities')
    return qmp
  }

  private constructor(socket: Socket) {
    super()
    this.#socket = socket
    socket.on('error', () => undefined)
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('QEMU has ended'))
    })
    createInterface(socket).on('line', (line) => this.#receive(line))
  }

  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = ++this.#lastId
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }))
  }

  #receive(line: string): void {
    const message = parsed(line)
    if (message === undefined) return
    if ('event' in message) this.emit(message.event, message.data ?? {})
    else if ('id' in message) {
      const pending = this.#pending.get(message.id)
      this.#pending.delete(message.id)
      if ('error' in message) pending?.reject(new Error(message.error.desc))
      else pending?.resolve(message.return)
    }
  }
}
