import { closeDescriptor, netlinkSocket, receive, refusal, send } from './ffi.ts'
import { MessageHeader, splitMessages } from './netlink.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4

/** The kernel answers at once, but for a disconnect, which first lets requests finish. */
const ANSWER_SECONDS = 60
const LONGEST_MESSAGE = 64 * 1024

export interface Answer {
  readonly type: number
  readonly payload: Uint8Array
}

/** A conversation with the kernel over one protocol of netlink. Calls block until answered. */
export class NetlinkSocket implements Disposable {
  readonly #fd: number
  #sequence = 1

  constructor(protocol: number) {
    this.#fd = netlinkSocket(protocol, ANSWER_SECONDS)
  }

  /** Sends a message, with these flags beside the usual ones, and returns what it is answered with. */
  request(type: number, payload: Uint8Array, flags = 0): Answer[] {
    const sequence = this.#sequence++
    const length = MessageHeader.size + payload.length
    const all = NLM_F_REQUEST | NLM_F_ACK | flags
    const header = MessageHeader.encode({ length, type, flags: all, sequence, port: 0 })
    send(this.#fd, Buffer.concat([header, payload]))
    const answers: Answer[] = []
    for (;;) {
      for (const message of splitMessages(receive(this.#fd, LONGEST_MESSAGE))) {
        if (message.sequence !== sequence) continue
        if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) {
          answers.push(message)
          continue
        }
        const errno = -Buffer.from(message.payload).readInt32LE(0)
        if (errno !== 0) throw refusal('netlink', errno)
        return answers
      }
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.#fd)
  }
}
