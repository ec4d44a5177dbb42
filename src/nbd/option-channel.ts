import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PeerRefused } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import {
  ClientFlags,
  Greeting,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  NBD_MAGIC,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  Option,
  OptionHeader,
  OptionReply,
  type Reply,
} from './protocol.ts'
import { type TlsIdentity, secured } from './tls.ts'

/** Names and queries have at most 4096 bytes each, and a client asks for a handful. */
const MOST_OPTION_BYTES = 64 * 1024

export interface ClientOption {
  readonly option: number
  /** Undefined when it was too long and has been dropped. */
  readonly payload: Buffer | undefined
}

/** The conversation of the handshake: options of the client, replies of the server. */
export class OptionChannel implements Disposable {
  readonly #socket: Socket
  #stream: Duplex
  #reader: ByteReader
  #isSecure = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.#stream = socket
    this.#reader = new ByteReader(socket)
  }

  /** What the client is served through from here on. */
  get stream(): Duplex {
    return this.#stream
  }
  get isSecure(): boolean {
    return this.#isSecure
  }

  /** Greets the client; resolves with its flags. */
  async greet(): Promise<number> {
    const handshakeFlags = HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES
    await this.send(
      Greeting.encode({ nbdMagic: NBD_MAGIC, optionMagic: OPTION_MAGIC, handshakeFlags }),
    )
    const { flags } = ClientFlags.decode(await this.#read(ClientFlags.size))
    if ((flags & ~handshakeFlags) !== 0) throw violation('unknown client flags', flags)
    return flags
  }

  /** The next option. Throws `PeerRefused` when the client leaves or sends something else. */
  async next(): Promise<ClientOption> {
    const { magic, option, length } = OptionHeader.decode(await this.#read(OptionHeader.size))
    if (magic !== OPTION_MAGIC) throw violation('wrong option magic', option)
    if (length <= MOST_OPTION_BYTES) return { option, payload: await this.#read(length) }
    // This option has no error reply.
    if (option === Option.exportName) throw violation('export name too long', length)
    for (let left = length; left > 0;)
      left -= (await this.#read(Math.min(left, MOST_OPTION_BYTES))).length
    return { option, payload: undefined }
  }

  reply(option: number, type: Reply, payload: Uint8Array = Buffer.alloc(0)): Promise<void> {
    const header = { magic: OPTION_REPLY_MAGIC, option, type, length: payload.length }
    return this.send(Buffer.concat([OptionReply.encode(header), payload]))
  }

  /** Waits until the client takes what it is sent: one that never reads gets no more than that. */
  async send(bytes: Uint8Array): Promise<void> {
    const stream = this.#stream
    if (stream.write(bytes) || stream.destroyed) return
    await new Promise<void>((resolve) => {
      const go = () => {
        stream.off('drain', go).off('close', go)
        resolve()
      }
      stream.on('drain', go).on('close', go)
    })
  }

  /** Goes on over TLS; what the client sent before could be anybody's. */
  async startTls(identity: TlsIdentity): Promise<void> {
    if (this.#reader.buffered > 0) throw violation('bytes before TLS', this.#reader.buffered)
    this.#reader[Symbol.dispose]()
    const stream = await secured(this.#socket, identity)
    stream.on('error', () => {})
    this.#stream = stream
    this.#reader = new ByteReader(stream)
    this.#isSecure = true
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]()
  }

  async #read(length: number): Promise<Buffer> {
    const bytes = await this.#reader.read(length)
    if (bytes !== undefined) return bytes
    throw new PeerRefused('the client leaves in the middle of the handshake')
  }
}

function violation(what: string, value: number): PeerRefused {
  return new PeerRefused(`the client breaks the handshake: ${what}`, { where: { value } })
}
