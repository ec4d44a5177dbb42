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
      return new StructuredReplies()
    case 'extended':
      return new ExtendedReplies()
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

/** Replies that consist of chunks: structured ones, and those of extended headers. */
export abstract class ChunkedReplies {
  readonly #headerBytes: number
  readonly readHead: number

  constructor(headerBytes: number) {
    this.#headerBytes = headerBytes
    this.readHead = headerBytes + DataChunk.size
  }

  /** Puts what stands before all bytes of a read, as one data chunk, into `into`, at `start`. */
  putReadHead(into: Buffer, start: number, request: Request): void {
    const length = DataChunk.size + request.length
    this.putHeader(into, start, REPLY_FLAG_DONE, Chunk.offsetData, request, length)
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
    this.putHeader(head, 0, flags, Chunk.offsetData, request, DataChunk.size + length)
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
    const payload = this.statusPayload(context, descriptors)
    const chunk = this.#chunk(flags, this.statusType, request, payload.length)
    chunk.set(payload, this.#headerBytes)
    return chunk
  }

  protected abstract readonly statusType: Chunk
  protected abstract statusPayload(context: number, descriptors: readonly Descriptor[]): Uint8Array
  protected abstract putHeader(
    into: Buffer,
    start: number,
    flags: number,
    type: Chunk,
    request: Request,
    length: number,
  ): void

  #chunk(flags: number, type: Chunk, request: Request, length: number): Buffer {
    const chunk = Buffer.allocUnsafe(this.#headerBytes + length)
    this.putHeader(chunk, 0, flags, type, request, length)
    return chunk
  }
}

class StructuredReplies extends ChunkedReplies {
  protected readonly statusType = Chunk.blockStatus

  constructor() {
    super(StructuredReply.size)
  }

  protected putHeader(
    into: Buffer,
    start: number,
    flags: number,
    type: Chunk,
    request: Request,
    length: number,
  ): void {
    const { at } = StructuredReply
    into.writeInt32BE(STRUCTURED_REPLY_MAGIC, start + at.magic)
    into.writeUInt16BE(flags, start + at.flags)
    into.writeUInt16BE(type, start + at.type)
    into.writeInt32BE(request.cookieHigh, start + at.cookie)
    into.writeInt32BE(request.cookieLow, start + at.cookie + 4)
    into.writeInt32BE(length, start + at.length)
  }

  protected statusPayload(context: number, descriptors: readonly Descriptor[]): Uint8Array {
    const payload = Buffer.alloc(StatusChunk.size + StatusDescriptor.size * descriptors.length)
    StatusChunk.encode({ context }, payload)
    let at = StatusChunk.size
    for (const descriptor of descriptors) {
      StatusDescriptor.encode(descriptor, payload.subarray(at))
      at += StatusDescriptor.size
    }
    return payload
  }
}

class ExtendedReplies extends ChunkedReplies {
  protected readonly statusType = Chunk.blockStatusExtended

  constructor() {
    super(ExtendedReply.size)
  }

  protected putHeader(
    into: Buffer,
    start: number,
    flags: number,
    type: Chunk,
    request: Request,
    length: number,
  ): void {
    const { at } = ExtendedReply
    into.writeInt32BE(EXTENDED_REPLY_MAGIC, start + at.magic)
    into.writeUInt16BE(flags, start + at.flags)
    into.writeUInt16BE(type, start + at.type)
    into.writeInt32BE(request.cookieHigh, start + at.cookie)
    into.writeInt32BE(request.cookieLow, start + at.cookie + 4)
    into.writeInt32BE(request.offsetHigh, start + at.offset)
    into.writeInt32BE(request.offsetLow, start + at.offset + 4)
    into.writeInt32BE(0, start + at.length)
    into.writeInt32BE(length, start + at.length + 4)
  }

  protected statusPayload(context: number, descriptors: readonly Descriptor[]): Uint8Array {
    const entries = ExtendedStatusDescriptor.size * descriptors.length
    const payload = Buffer.alloc(ExtendedStatusChunk.size + entries)
    ExtendedStatusChunk.encode({ context, count: descriptors.length }, payload)
    let at = ExtendedStatusChunk.size
    for (const descriptor of descriptors) {
      ExtendedStatusDescriptor.encode(descriptor, payload.subarray(at))
      at += ExtendedStatusDescriptor.size
    }
    return payload
  }
}
