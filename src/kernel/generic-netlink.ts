import { KernelRefused } from '../errors.ts'
import { closeDescriptor, netlinkSocket, receive, refusal, send } from './ffi.ts'
import {
  type Attribute,
  GenericHeader,
  MessageHeader,
  attributeString,
  decodeAttributes,
  encodeAttributes,
  splitMessages,
  valueU16,
} from './netlink.ts'

const NETLINK_GENERIC = 16
const NLMSG_ERROR = 2
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
const ENOENT = 2

/** The controller, which knows the numbers of the other families (linux/genetlink.h). */
const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2

/** The kernel answers at once, but for a disconnect, which first lets requests finish. */
const ANSWER_SECONDS = 60
const LONGEST_MESSAGE = 64 * 1024

/** A conversation with one family of the kernel's generic netlink. Calls block until answered. */
export class GenericNetlink implements Disposable {
  readonly #fd: number
  readonly #family: number
  readonly #version: number
  #sequence = 1

  private constructor(fd: number, family: number, version: number) {
    this.#fd = fd
    this.#family = family
    this.#version = version
  }

  /** Throws `KernelRefused` when the kernel does not know the family. */
  static open(name: string, version: number): GenericNetlink {
    const fd = netlinkSocket(NETLINK_GENERIC, ANSWER_SECONDS)
    try {
      const controller = new GenericNetlink(fd, GENL_ID_CTRL, 1)
      const wanted = attributeString(CTRL_ATTR_FAMILY_NAME, name)
      const answer = controller.request(CTRL_CMD_GETFAMILY, [wanted])
      const id = answer.find(({ type }) => type === CTRL_ATTR_FAMILY_ID)
      if (id === undefined) throw new KernelRefused(`the kernel gives no number for ${name}`)
      return new GenericNetlink(fd, valueU16(id), version)
    } catch (error) {
      closeDescriptor(fd)
      if (error instanceof KernelRefused && error.where['errno'] === ENOENT) {
        throw new KernelRefused(`the kernel has no ${name} driver`, {
          advice: `load the module ${name}, or put it into the initramfs`,
        })
      }
      throw error
    }
  }

  /** Sends a command and returns the attributes of its answer; throws `KernelRefused`. */
  request(command: number, attributes: readonly Attribute[]): Attribute[] {
    const sequence = this.#sequence++
    const payload = encodeAttributes(attributes)
    const length = MessageHeader.size + GenericHeader.size + payload.length
    const flags = NLM_F_REQUEST | NLM_F_ACK
    send(
      this.#fd,
      Buffer.concat([
        MessageHeader.encode({ length, type: this.#family, flags, sequence, port: 0 }),
        GenericHeader.encode({ command, version: this.#version, reserved: 0 }),
        payload,
      ]),
    )
    const answer: Attribute[] = []
    for (;;) {
      for (const message of splitMessages(receive(this.#fd, LONGEST_MESSAGE))) {
        if (message.sequence !== sequence) continue
        if (message.type !== NLMSG_ERROR) {
          answer.push(...decodeAttributes(message.payload.subarray(GenericHeader.size)))
          continue
        }
        const errno = -Buffer.from(message.payload).readInt32LE(0)
        if (errno !== 0) throw refusal('netlink', errno)
        return answer
      }
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.#fd)
  }
}
