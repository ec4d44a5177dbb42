import type { Session } from './export.ts'
import {
  Chunk,
  DataChunk,
  EXTENDED_REPLY_MAGIC,
  ErrorChunk,
  type ErrorValue,
  ExtendedReply,
  ExtendedStatusChunk,
  ExtendedStatusDescriptor,
  HoleChunk,
  MOST_STRING_BYTES,
  REPLY_FLAG_DONE,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  SimpleReply,
  StatusChunk,
  StatusDescriptor,
  StructuredReply,
} from './protocol.ts'
import type { Request } from './request.ts'

/** How replies are laid out: one of three ways, agreed on in the handshake. */
export type Replies = SimpleReplies | ChunkedReplies

export function repliesOf(headers: Session['headers']): Replies {
  switch (headers) {
    case 'simple':
      return new SimpleReplies()
    case 'structured':
      return new ChunkedReplies(STRUCTURED)
    case 'extended':
      return new ChunkedReplies(EXTENDED)
  }
}

/** A run of bytes and what a context says of it. */
export interface Descriptor {
  readonly length: number
  readonly status: number
}

export class SimpleReplies {
  /** What a reply to a read has before its bytes. */
  readonly readHead = SimpleReply.size

  /** Puts what stands before the bytes of a read into `into`, at `start`. */
  putReadHead(into: Buffer, start: number, request: Request): void {
    this.#put(into, start, request, 0)
  }
  done(request: Request): Buffer {
    return this.#put(Buffer.allocUnsafe(SimpleReply.size), 0, request, 0)
  }
  failed(request: Request, error: ErrorValue, _text: string): Buffer {
    return this.#put(Buffer.allocUnsafe(SimpleReply.size), 0, request, error)
  }

  #put(into: Buffer, start: number, request: Request, error: number): Buffer {
    const { at } = SimpleReply
    into.writeInt32BE(SIMPLE_REPLY_MAGIC, start + at.magic)
    into.writeInt32BE(error, start + at.error)
    into.writeInt32BE(request.cookieHigh, start + at.cookie)
    into.writeInt32BE(request.cookieLow, start + at.cookie + 4)
    return into
  }
}

/** In what the two kinds of chunks differ. */
interface Framing {
  readonly magic: number
  /** The fields that both have, which are at the same places, and what follows them. */
  readonly headerBytes: number
  /** Where the offset of the request is repeated, if it is. */
  readonly offsetAt: number | undefined
  /** Where the lower half of the length is, or all of it. */
  readonly lengthAt: number
  readonly statusType: Chunk
  statusHead(context: number, count: number): Uint8Array
  readonly descriptor: { readonly size: number; encode(value: Descriptor, into: Uint8Array): void }
}

const STRUCTURED: Framing = {
  magic: STRUCTURED_REPLY_MAGIC,
  headerBytes: StructuredReply.size,
  offsetAt: undefined,
  lengthAt: StructuredReply.at.length,
  statusType: Chunk.blockStatus,
  statusHead: (context) => StatusChunk.encode({ context }),
  descriptor: StatusDescriptor,
}

const EXTENDED: Framing = {
  magic: EXTENDED_REPLY_MAGIC,
  headerBytes: ExtendedReply.size,
  offsetAt: ExtendedReply.at.offset,
  lengthAt: ExtendedReply.at.length + 4,
  statusType: Chunk.blockStatusExtended,
  statusHead: (context, count) => ExtendedStatusChunk.encode({ context, count }),
  descriptor: ExtendedStatusDescriptor,
}

/** Replies that consist of chunks: structured ones, and those of extended headers. */
export class ChunkedReplies {
  readonly #framing: Framing
  readonly #headerBytes: number
  readonly readHead: number

  constructor(framing: Framing) {
    this.#framing = framing
    this.#headerBytes = framing.headerBytes
    this.readHead = framing.headerBytes + DataChunk.size
  }

  /** Puts what stands before all bytes of a read, as one data chunk, into `into`, at `start`. */
  putReadHead(into: Buffer, start: number, request: Request): void {
    const length = DataChunk.size + request.length
    this.#putHeader(into, start, REPLY_FLAG_DONE, Chunk.offsetData, request, length)
    into.writeInt32BE(request.offsetHigh, start + this.#headerBytes)
    into.writeInt32BE(request.offsetLow, start + this.#headerBytes + 4)
  }
  done(request: Request): Buffer {
    return this.#chunk(REPLY_FLAG_DONE, Chunk.none, request, 0)
  }
  failed(request: Request, error: ErrorValue, text: string): Buffer {
    const said = Buffer.from(text).subarray(0, MOST_STRING_BYTES)
    const length = ErrorChunk.size + said.length
    const chunk = this.#chunk(REPLY_FLAG_DONE, Chunk.error, request, length)
    ErrorChunk.encode({ error, textLength: said.length }, chunk.subarray(this.#headerBytes))
    chunk.set(said, this.#headerBytes + ErrorChunk.size)
    return chunk
  }

  /** What stands before the `length` bytes at `offset` that are sent as a data chunk of their own. */
  dataHead(request: Request, offset: number, length: number, flags: number): Buffer {
    const head = Buffer.allocUnsafe(this.readHead)
    this.#putHeader(head, 0, flags, Chunk.offsetData, request, DataChunk.size + length)
    DataChunk.encode({ offset }, head.subarray(this.#headerBytes))
    return head
  }
  hole(request: Request, offset: number, length: number, flags: number): Buffer {
    const chunk = this.#chunk(flags, Chunk.offsetHole, request, HoleChunk.size)
    HoleChunk.encode({ offset, length }, chunk.subarray(this.#headerBytes))
    return chunk
  }
  status(
    request: Request,
    context: number,
    descriptors: readonly Descriptor[],
    flags: number,
  ): Buffer {
    const payload = this.#statusPayload(context, descriptors)
    const chunk = this.#chunk(flags, this.#framing.statusType, request, payload.length)
    chunk.set(payload, this.#headerBytes)
    return chunk
  }

  #chunk(flags: number, type: Chunk, request: Request, length: number): Buffer {
    const chunk = Buffer.allocUnsafe(this.#headerBytes + length)
    this.#putHeader(chunk, 0, flags, type, request, length)
    return chunk
  }

  #putHeader(
    into: Buffer,
    start: number,
    flags: number,
    type: Chunk,
    request: Request,
    length: number,
  ): void {
    const { magic, offsetAt, lengthAt } = this.#framing
    const { at } = StructuredReply
    into.writeInt32BE(magic, start + at.magic)
    into.writeUInt16BE(flags, start + at.flags)
    into.writeUInt16BE(type, start + at.type)
    into.writeInt32BE(request.cookieHigh, start + at.cookie)
    into.writeInt32BE(request.cookieLow, start + at.cookie + 4)
    into.writeInt32BE(length, start + lengthAt)
    if (offsetAt === undefined) return
    into.writeInt32BE(request.offsetHigh, start + offsetAt)
    into.writeInt32BE(request.offsetLow, start + offsetAt + 4)
    into.writeInt32BE(0, start + lengthAt - 4)
  }

  #statusPayload(context: number, descriptors: readonly Descriptor[]): Uint8Array {
    const { descriptor } = this.#framing
    const head = this.#framing.statusHead(context, descriptors.length)
    const payload = Buffer.alloc(head.length + descriptor.size * descriptors.length)
    payload.set(head)
    for (const [index, each] of descriptors.entries())
      descriptor.encode(each, payload.subarray(head.length + index * descriptor.size))
    return payload
  }
}
