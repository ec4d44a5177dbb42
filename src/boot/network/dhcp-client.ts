import { randomInt } from 'node:crypto'
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  ACK,
  type Answer,
  DISCOVER,
  NAK,
  OFFER,
  type Question,
  REQUEST,
  decodeAnswer,
  encodeQuestion,
} from './dhcp-message.ts'

/**
 * The client's part of RFC 2131 until there is a lease. The socket is an ordinary one: the card is
 * up and the only way out, and what is sent from a machine without an address comes from 0.0.0.0.
 */

const SERVER_PORT = 67
const CLIENT_PORT = 68
const EVERYBODY = '255.255.255.255'
/** How long each question waits for its answer before it is asked again (RFC 2131, section 4.1). */
const PATIENCE_MS = [1000, 2000, 4000, 8000]

/** Asks for an address for `hardware`; undefined if no server answers in a quarter of a minute. */
export async function askForLease(hardware: string): Promise<Answer | undefined> {
  const socket = createSocket('udp4')
  try {
    socket.bind(CLIENT_PORT)
    await once(socket, 'listening')
    socket.setBroadcast(true)
    const address = Uint8Array.from(hardware.split(':').map((byte) => parseInt(byte, 16)))
    return await new Conversation(socket, address).lease()
  } finally {
    socket.close()
  }
}

class Conversation {
  readonly #socket: Socket
  readonly #hardware: Uint8Array
  readonly #transaction = randomInt(2 ** 32)

  constructor(socket: Socket, hardware: Uint8Array) {
    this.#socket = socket
    this.#hardware = hardware
  }

  async lease(): Promise<Answer | undefined> {
    for (const patienceMs of PATIENCE_MS) {
      const offer = await this.#ask({ type: DISCOVER }, [OFFER], patienceMs)
      if (offer === undefined) continue
      const answer = await this.#ask({ type: REQUEST, offer }, [ACK, NAK], patienceMs)
      if (answer?.type === ACK) return answer
    }
    return undefined
  }

  /** The first answer to our question of one of these types. */
  async #ask(
    question: Pick<Question, 'type' | 'offer'>,
    types: readonly number[],
    patienceMs: number,
  ): Promise<Answer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>()
    const listen = (message: Uint8Array) => {
      const answer = decodeAnswer(message, this.#hardware)
      if (answer?.transaction === this.#transaction && types.includes(answer.type)) resolve(answer)
    }
    this.#socket.on('message', listen)
    const timer = setTimeout(() => resolve(undefined), patienceMs)
    // A card that has just lost its link refuses to send; then nobody answers either.
    this.#socket.send(
      encodeQuestion({ ...question, transaction: this.#transaction, hardware: this.#hardware }),
      SERVER_PORT,
      EVERYBODY,
      () => undefined,
    )
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#socket.off('message', listen)
    }
  }
}
