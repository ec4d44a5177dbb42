import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Export, MOST_PAYLOAD_BYTES, type Session, transmissionFlags } from './export.ts'
import { type MetaContext, contextsListed, contextsSelected } from './meta-context.ts'
import { type ClientOption, OptionChannel } from './option-channel.ts'
import { OptionPayload } from './option-payload.ts'
import {
  EXPORT_ANSWER_PADDING,
  ExportAnswer,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  Info,
  InfoBlockSize,
  InfoExport,
  Option,
  Reply,
  TransmissionFlag,
} from './protocol.ts'
import type { TlsIdentity } from './tls.ts'

const KNOWN: ReadonlySet<number> = new Set(Object.values(Option))

/** What suits a page cache; any byte offset is served. */
const PREFERRED_BLOCK_BYTES = 4096

/** The only export of a server, and what a client has to do to get it. */
export interface Offer {
  readonly served: Export
  /** Empty for the default export. */
  readonly name: string
  /** For people, in lists of exports; empty for none. */
  readonly description: string
  /** If present, nothing is told without TLS. */
  readonly tls?: TlsIdentity
}

/** How a handshake ends that leads to transmission. */
export interface Agreement {
  readonly stream: Duplex
  readonly session: Session
}

/**
 * Fixed newstyle negotiation, the server's side ("Handshake phase" of the protocol).
 * Resolves with undefined when the client leaves. Throws `PeerRefused` when it breaks the protocol.
 */
export async function negotiate(socket: Socket, offer: Offer): Promise<Agreement | undefined> {
  using channel = new OptionChannel(socket)
  const flags = await channel.greet()
  const handshake = new Handshake(channel, offer, flags)
  for (;;) {
    const outcome = await handshake.answer(await channel.next())
    if (outcome === 'leave') return undefined
    if (outcome === 'go') return { stream: channel.stream, session: handshake.session }
  }
}

type Outcome = 'more' | 'go' | 'leave'

class Handshake {
  readonly #channel: OptionChannel
  readonly #offer: Offer
  readonly #clientFlags: number
  #headers: Session['headers'] = 'simple'
  #contexts: readonly MetaContext[] = []

  constructor(channel: OptionChannel, offer: Offer, clientFlags: number) {
    this.#channel = channel
    this.#offer = offer
    this.#clientFlags = clientFlags
  }

  get session(): Session {
    return { served: this.#offer.served, headers: this.#headers, contexts: this.#contexts }
  }

  answer({ option, payload }: ClientOption): Outcome | Promise<Outcome> {
    if (option === Option.exportName) return this.#exportName(payload ?? Buffer.alloc(0))
    // Who does not know fixed newstyle knows no replies either.
    if ((this.#clientFlags & HANDSHAKE_FIXED_NEWSTYLE) === 0) return 'leave'
    if (option === Option.abort) return this.#abort()
    if (option === Option.startTls) return this.#startTls(payload)
    if (this.#lacksTls) return this.#say(option, Reply.errTlsRequired)
    if (payload === undefined) return this.#tooBig(option)
    switch (option) {
      case Option.list:
        return this.#list(payload)
      case Option.info:
      case Option.go:
        return this.#infoOrGo(option, new OptionPayload(payload))
      case Option.structuredReply:
      case Option.extendedHeaders:
        return this.#agreeOnHeaders(option, payload)
      case Option.listMetaContext:
      case Option.setMetaContext:
        return this.#metaContexts(option, new OptionPayload(payload))
      default:
        return this.#say(option, Reply.errUnsup)
    }
  }

  get #lacksTls(): boolean {
    return this.#offer.tls !== undefined && !this.#channel.isSecure
  }

  async #say(option: number, type: Reply): Promise<Outcome> {
    await this.#channel.reply(option, type)
    return 'more'
  }

  /** What was set before is replaced, also by a command that fails (proto.md, NBD_OPT_SET_META_CONTEXT). */
  #tooBig(option: number): Promise<Outcome> {
    if (option === Option.setMetaContext) this.#contexts = []
    return this.#say(option, KNOWN.has(option) ? Reply.errTooBig : Reply.errUnsup)
  }

  async #abort(): Promise<Outcome> {
    await this.#channel.reply(Option.abort, Reply.ack)
    return 'leave'
  }

  /** This option has no error reply: what cannot be had ends the connection. */
  async #exportName(name: Buffer): Promise<Outcome> {
    const wanted = name.equals(Buffer.from(this.#offer.name))
    if (!wanted || this.#lacksTls || this.#headers === 'extended') return 'leave'
    await this.#channel.send(
      ExportAnswer.encode({
        size: this.#offer.served.source.size,
        transmissionFlags: transmissionFlags(this.session),
      }),
    )
    if ((this.#clientFlags & HANDSHAKE_NO_ZEROES) === 0)
      await this.#channel.send(new Uint8Array(EXPORT_ANSWER_PADDING))
    return 'go'
  }

  async #startTls(payload: Buffer | undefined): Promise<Outcome> {
    const { tls } = this.#offer
    if (tls === undefined) return this.#say(Option.startTls, Reply.errUnsup)
    if (this.#channel.isSecure || payload?.length !== 0)
      return this.#say(Option.startTls, Reply.errInvalid)
    await this.#channel.reply(Option.startTls, Reply.ack)
    await this.#channel.startTls(tls)
    return 'more'
  }

  async #list(payload: Buffer): Promise<Outcome> {
    if (payload.length > 0) return this.#say(Option.list, Reply.errInvalid)
    const name = Buffer.from(this.#offer.name)
    const described = [lengthOf(name), name, Buffer.from(this.#offer.description)]
    await this.#channel.reply(Option.list, Reply.server, Buffer.concat(described))
    return this.#say(Option.list, Reply.ack)
  }

  async #infoOrGo(option: number, payload: OptionPayload): Promise<Outcome> {
    const name = payload.string()
    const wanted = new Set<number>()
    for (let count = payload.u16(); count > 0 && !payload.isBroken; count--)
      wanted.add(payload.u16())
    if (!payload.isWhole) return this.#say(option, Reply.errInvalid)
    if (name !== this.#offer.name) return this.#say(option, Reply.errUnknown)
    const infos = [this.#infoExport(option), infoBlockSize()]
    if (wanted.has(Info.name)) infos.push(infoText(Info.name, this.#offer.name))
    const { description } = this.#offer
    if (wanted.has(Info.description) && description !== '')
      infos.push(infoText(Info.description, description))
    for (const info of infos) await this.#channel.reply(option, Reply.info, info)
    await this.#channel.reply(option, Reply.ack)
    return option === Option.go ? 'go' : 'more'
  }

  #infoExport(option: number): Uint8Array {
    const { size } = this.#offer.served.source
    // Who only looks around has not chosen contexts, and may.
    const mayChoose = option === Option.info && this.#headers === 'extended'
    const flags =
      transmissionFlags(this.session) | (mayChoose ? TransmissionFlag.blockStatusPayload : 0)
    return InfoExport.encode({ type: Info.export, size, transmissionFlags: flags })
  }

  /** What is agreed on is not agreed on again, and extended headers are never given up. */
  #agreeOnHeaders(option: number, payload: Buffer): Promise<Outcome> {
    const headers = option === Option.extendedHeaders ? 'extended' : 'structured'
    if (payload.length > 0 || this.#headers === headers) return this.#say(option, Reply.errInvalid)
    if (this.#headers === 'extended') return this.#say(option, Reply.errExtendedHeadersRequired)
    this.#headers = headers
    return this.#say(option, Reply.ack)
  }

  async #metaContexts(option: number, payload: OptionPayload): Promise<Outcome> {
    const sets = option === Option.setMetaContext
    // What was set before is given up even when this fails.
    if (sets) this.#contexts = []
    const name = payload.string()
    const queries: string[] = []
    for (let count = payload.u32(); count > 0 && !payload.isBroken; count--)
      queries.push(payload.string())
    if (!payload.isWhole || this.#headers === 'simple') return this.#say(option, Reply.errInvalid)
    if (name !== this.#offer.name) return this.#say(option, Reply.errUnknown)
    const found = sets ? contextsSelected(queries) : contextsListed(queries)
    for (const context of found) {
      const id = Buffer.alloc(4)
      id.writeUInt32BE(sets ? context.id : 0)
      const named = Buffer.concat([id, Buffer.from(context.name)])
      await this.#channel.reply(option, Reply.metaContext, named)
    }
    if (sets) this.#contexts = found
    return this.#say(option, Reply.ack)
  }
}

function infoBlockSize(): Uint8Array {
  return InfoBlockSize.encode({
    type: Info.blockSize,
    minimum: 1,
    preferred: PREFERRED_BLOCK_BYTES,
    maximum: MOST_PAYLOAD_BYTES,
  })
}

function infoText(type: number, text: string): Uint8Array {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(type)
  return Buffer.concat([head, Buffer.from(text)])
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}
