import { KernelRefused } from '../errors.ts'
import {
  type Attribute,
  GenericHeader,
  attributeString,
  decodeAttributes,
  encodeAttributes,
  valueU16,
} from './netlink.ts'
import { NetlinkSocket } from './netlink-socket.ts'

const NETLINK_GENERIC = 16
const ENOENT = 2

/** The controller, which knows the numbers of the other families (linux/genetlink.h). */
const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2

/** A conversation with one family of the kernel's generic netlink. Calls block until answered. */
export class GenericNetlink implements Disposable {
  readonly #socket: NetlinkSocket
  readonly #family: number
  readonly #version: number

  private constructor(socket: NetlinkSocket, family: number, version: number) {
    this.#socket = socket
    this.#family = family
    this.#version = version
  }

  /** Throws `KernelRefused` when the kernel does not know the family. */
  static open(name: string, version: number): GenericNetlink {
    const socket = new NetlinkSocket(NETLINK_GENERIC)
    try {
      const controller = new GenericNetlink(socket, GENL_ID_CTRL, 1)
      const wanted = attributeString(CTRL_ATTR_FAMILY_NAME, name)
      const answer = controller.request(CTRL_CMD_GETFAMILY, [wanted])
      const id = answer.find(({ type }) => type === CTRL_ATTR_FAMILY_ID)
      if (id === undefined) throw new KernelRefused(`the kernel gives no number for ${name}`)
      return new GenericNetlink(socket, valueU16(id), version)
    } catch (error) {
      socket[Symbol.dispose]()
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
    const header = GenericHeader.encode({ command, version: this.#version, reserved: 0 })
    const payload = Buffer.concat([header, encodeAttributes(attributes)])
    return this.#socket
      .request(this.#family, payload)
      .flatMap((answer) => decodeAttributes(answer.payload.subarray(GenericHeader.size)))
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}
