import { type Server, type Socket, connect, createServer } from 'node:net'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import * as z from 'zod/mini'
import { KernelRefused, UsageError, isNetcowError } from '../errors.ts'
import { DeviceStatus } from './device-status.ts'
import { RUN_DIRECTORY, readFacts } from './run-files.ts'
import { lineOf } from './terminal.ts'

/**
 * What a running daemon can be asked, over a socket in /run: one JSON line each way. The socket is
 * made before switch_root, and /run outlives the initramfs.
 */

const Request = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('status') }),
  z.object({
    kind: z.literal('resize-overlay'),
    limitBytes: z.number().check(z.int(), z.nonnegative()),
  }),
])
export type Request = z.infer<typeof Request>

const Answer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('status'), status: DeviceStatus }),
  z.object({ kind: z.literal('done') }),
  z.object({ kind: z.literal('refused'), line: z.string() }),
])
export type Answer = z.infer<typeof Answer>

/** Longer requests are none of ours. */
const MOST_REQUEST_BYTES = 4096
/** A daemon that is stopped, or hangs, does not answer. */
const ANSWER_MS = 5000

const LATE = 'it lives, and is stopped or has much to do; no other one can take its place'
const DEAD = 'if it is dead, netcow attach --resume DEVICE starts another one'

export function socketPath(index: number): string {
  return `${RUN_DIRECTORY}/nbd${index}.sock`
}

/** Answers on a socket until it is disposed of. */
export class ControlServer implements Disposable {
  readonly #server: Server
  readonly #path: string

  /** Takes the place of a socket that a dead daemon left behind. */
  static async open(
    path: string,
    answer: (request: Request) => Answer | Promise<Answer>,
  ): Promise<ControlServer> {
    rmSync(path, { force: true })
    const server = createServer({ allowHalfOpen: true })
    server.on('connection', (socket) => converse(socket, answer))
    // Made within the call: nobody but root may connect even for a moment.
    const before = process.umask(0o177)
    server.listen(path)
    process.umask(before)
    await once(server, 'listening')
    return new ControlServer(server, path)
  }

  private constructor(server: Server, path: string) {
    this.#server = server
    this.#path = path
  }

  [Symbol.dispose](): void {
    this.#server.close()
    rmSync(this.#path, { force: true })
  }
}

function converse(socket: Socket, answer: (request: Request) => Answer | Promise<Answer>): void {
  socket.on('error', () => socket.destroy())
  socket.setTimeout(ANSWER_MS, () => socket.destroy())
  let line = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    line += text
    if (line.length > MOST_REQUEST_BYTES) socket.destroy()
  })
  socket.on('end', () => {
    void answered(line, answer).then((reply) => socket.end(`${JSON.stringify(reply)}\n`))
  })
}

async function answered(
  line: string,
  answer: (request: Request) => Answer | Promise<Answer>,
): Promise<Answer> {
  try {
    return await answer(Request.parse(JSON.parse(line)))
  } catch (error) {
    return { kind: 'refused', line: isNetcowError(error) ? lineOf(error) : 'not understood' }
  }
}

/** Asks the daemon of the device `index`, if it is one of ours. Throws `KernelRefused`, or what it says. */
export function ask(index: number, request: Request): Promise<Answer> {
  readFacts(index)
  return askAt(socketPath(index), request, { device: `/dev/nbd${index}` })
}

export async function askAt(
  path: string,
  request: Request,
  where: Readonly<Record<string, string>>,
): Promise<Answer> {
  const socket = connect({ path, allowHalfOpen: true })
  const late = new Error('no answer')
  socket.setTimeout(ANSWER_MS, () => socket.destroy(late))
  try {
    await once(socket, 'connect')
    socket.end(`${JSON.stringify(request)}\n`)
    const answer = Answer.parse(JSON.parse(await text(socket)))
    if (answer.kind === 'refused') throw new UsageError(answer.line, { where })
    return answer
  } catch (error) {
    if (isNetcowError(error)) throw error
    throw new KernelRefused('the daemon of the device does not answer', {
      where,
      advice: error === late ? LATE : DEAD,
      cause: error,
    })
  } finally {
    socket.destroy()
  }
}
