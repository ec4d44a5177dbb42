import type { Duplex } from 'node:stream'
import { PeerRefused } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import { type Export, MOST_PAYLOAD_BYTES, transmissionFlags } from './export.ts'
import {
  ClientFlags,
  EXPORT_ANSWER_PADDING,
  ExportAnswer,
  Greeting,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  InfoBlockSize,
  InfoExport,
  NBD_MAGIC,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  Option,
  OptionHeader,
  OptionReply,
  Reply,
} from './protocol.ts'

/** An export name has at most 4096 bytes, and a client may ask for a handful of informations. */
const MOST_OPTION_BYTES = 64 * 1024
/** What suits a page cache; any byte offset is served. */
const PREFERRED_BLOCK_BYTES = 4096

/** The name of our only export: the default one. */
const EXPORT_NAME = ''

/**
 * Fixed newstyle negotiation, the server's side ("Handshake phase" of the protocol).
 * Resolves with true when the client goes on to transmission, with false when it leaves.
 * Throws `PeerRefused` when it breaks the protocol.
 */
export async function negotiate(stream: Duplex, served: Export): Promise<boolean> {
  const handshakeFlags = HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES
  stream.write(Greeting.encode({ nbdMagic: NBD_MAGIC, optionMagic: OPTION_MAGIC, handshakeFlags }))
  using reader = new ByteReader(stream)
  const { flags } = ClientFlags.decode(await readExactly(reader, ClientFlags.size))
  if ((flags & ~handshakeFlags) !== 0) throw violation('unknown client flags', flags)
  if ((flags & HANDSHAKE_FIXED_NEWSTYLE) === 0) throw violation('no fixed newstyle', flags)
  const negotiation = new Negotiation(stream, reader, served, (flags & HANDSHAKE_NO_ZEROES) !== 0)
  for (;;) {
    const outcome = await negotiation.option()
    if (outcome !== 'more') return outcome === 'go'
  }
}

type Outcome = 'more' | 'go' | 'leave'

class Negotiation {
  readonly #stream: Duplex
  readonly #reader: ByteReader
  readonly #served: Export
  readonly #noZeroes: boolean

  constructor(stream: Duplex, reader: ByteReader, served: Export, noZeroes: boolean) {
    this.#stream = stream
    this.#reader = reader
    this.#served = served
    this.#noZeroes = noZeroes
  }

  /** Handles one option of the client. */
  async option(): Promise<Outcome> {
    const header = OptionHeader.decode(await readExactly(this.#reader, OptionHeader.size))
    if (header.magic !== OPTION_MAGIC) throw violation('wrong option magic', header.option)
    if (header.length > MOST_OPTION_BYTES) {
      if (header.option === Option.exportName)
        throw violation('export name too long', header.length)
      await drain(this.#reader, header.length)
      this.#reply(header.option, Reply.errTooBig)
      return 'more'
    }
    const payload = await readExactly(this.#reader, header.length)
    switch (header.option) {
      case Option.exportName:
        return this.#exportName(payload)
      case Option.abort:
        this.#reply(header.option, Reply.ack)
        return 'leave'
      case Option.list:
        return this.#list(payload)
      case Option.info:
      case Option.go:
        return this.#infoOrGo(header.option, payload)
      default:
        this.#reply(header.option, Reply.errUnsup)
        return 'more'
    }
  }

  #exportName(name: Buffer): Outcome {
    // This option has no error reply: an unknown name ends the connection.
    if (name.toString() !== EXPORT_NAME) return 'leave'
    const answer = ExportAnswer.encode({
      size: this.#served.source.size,
      transmissionFlags: transmissionFlags(this.#served),
    })
    this.#stream.write(answer)
    if (!this.#noZeroes) this.#stream.write(new Uint8Array(EXPORT_ANSWER_PADDING))
    return 'go'
  }

  #list(payload: Buffer): Outcome {
    if (payload.length > 0) {
      this.#reply(Option.list, Reply.errInvalid)
      return 'more'
    }
    const name = Buffer.from(EXPORT_NAME)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(name.length)
    this.#reply(Option.list, Reply.server, Buffer.concat([length, name]))
    this.#reply(Option.list, Reply.ack)
    return 'more'
  }

  #infoOrGo(option: number, payload: Buffer): Outcome {
    const name = nameOf(payload)
    if (name === undefined) this.#reply(option, Reply.errInvalid)
    else if (name !== EXPORT_NAME) this.#reply(option, Reply.errUnknown)
    else {
      const { source } = this.#served
      const flags = transmissionFlags(this.#served)
      this.#reply(
        option,
        Reply.info,
        InfoExport.encode({ type: INFO_EXPORT, size: source.size, transmissionFlags: flags }),
      )
      this.#reply(
        option,
        Reply.info,
        InfoBlockSize.encode({
          type: INFO_BLOCK_SIZE,
          minimum: 1,
          preferred: PREFERRED_BLOCK_BYTES,
          maximum: MOST_PAYLOAD_BYTES,
        }),
      )
      this.#reply(option, Reply.ack)
      if (option === Option.go) return 'go'
    }
    return 'more'
  }

  #reply(option: number, type: Reply, payload: Uint8Array = new Uint8Array(0)): void {
    const length = payload.length
    this.#stream.write(OptionReply.encode({ magic: OPTION_REPLY_MAGIC, option, type, length }))
    if (length > 0) this.#stream.write(payload)
  }
}

/** The export name of NBD_OPT_INFO and NBD_OPT_GO, if the lengths in the payload add up. */
function nameOf(payload: Buffer): string | undefined {
  if (payload.length < 6) return undefined
  const nameBytes = payload.readUInt32BE(0)
  if (nameBytes > payload.length - 6) return undefined
  const requests = payload.readUInt16BE(4 + nameBytes)
  if (payload.length !== 6 + nameBytes + 2 * requests) return undefined
  return payload.toString('utf8', 4, 4 + nameBytes)
}

async function readExactly(reader: ByteReader, length: number): Promise<Buffer> {
  const bytes = await reader.read(length)
  if (bytes !== undefined) return bytes
  throw new PeerRefused('the client leaves in the middle of the handshake')
}

async function drain(reader: ByteReader, length: number): Promise<void> {
  for (let left = length; left > 0;) {
    left -= (await readExactly(reader, Math.min(left, MOST_OPTION_BYTES))).length
  }
}

function violation(what: string, value: number): PeerRefused {
  return new PeerRefused(`the client breaks the handshake: ${what}`, { where: { value } })
}
