import assert from 'node:assert/strict'
import type { BlockDevice, Completion } from '../block/source.ts'
import { MOST_STATUS_BYTES, blockStatus } from './block-status.ts'
import type { Session } from './export.ts'
import type { MetaContext } from './meta-context.ts'
import {
  CONTEXT_ID_BYTES,
  Command,
  CommandFlag,
  ErrorValue,
  REPLY_FLAG_DONE,
  StatusPayload,
} from './protocol.ts'
import type { Outbox, Room } from './outbox.ts'
import { ChunkedReplies, type Replies } from './replies.ts'
import type { Request } from './request.ts'
import { inSlices } from './slices.ts'
import { mayHoldHole, sparseReply } from './sparse-reply.ts'

/** A step of a discard: a few milliseconds of work where all of it is held. */
const DISCARD_BYTES = 64 * 1024 * 1024
/** A step of a prefetch, and of zeroes that must take up space. */
const STEP_BYTES = 1024 * 1024
/**
 * Reads of which the bytes need not be copied. For smaller ones that takes more calls than it saves;
 * larger ones no longer stay in the cache of the client's processor, which fetches them from memory
 * as slowly as this one would, and comes to them later.
 */
const UNCOPIED_BYTES = { least: 32 * 1024, most: 64 * 1024 }
const ZEROES = new Uint8Array(STEP_BYTES)
/** More than this is not prefetched by one request; no cache is expected to keep more. */
const MOST_CACHED_BYTES = 1024 * 1024 * 1024

/** An error that the request itself earned; not worth a line in the log. */
export class Refusal extends Error {
  readonly value: ErrorValue
  constructor(value: ErrorValue) {
    super(`refused with ${value}`)
    this.value = value
  }
}

/** Carries out the requests of one session that `errorOf` let pass, and makes their replies. */
export class Service {
  readonly #session: Session
  readonly #replies: Replies
  readonly #outbox: Outbox
  readonly #over: () => boolean

  /** @param over whether the client is gone, so that long work may end */
  constructor(session: Session, replies: Replies, outbox: Outbox, over: () => boolean) {
    this.#session = session
    this.#replies = replies
    this.#outbox = outbox
    this.#over = over
  }

  /** How much memory the request takes while it is under way, in bytes, beside what is read. */
  kept(request: Request): number {
    switch (request.type) {
      case Command.write:
        return request.length
      case Command.cache:
        return STEP_BYTES
      case Command.blockStatus:
        return MOST_STATUS_BYTES * this.#session.contexts.length
      default:
        return 0
    }
  }

  /**
   * Carries out a request and leaves the reply in the outbox. Rejects with `Refusal` for what can
   * only be seen now, and with whatever the device fails with; there is no reply then.
   */
  perform(request: Request): Completion {
    switch (request.type) {
      case Command.read:
        return this.#read(request)
      case Command.write:
        return this.#write(request)
      case Command.blockStatus:
        return this.#status(request)
      default:
        return this.#otherwise(request)
    }
  }

  #read(request: Request): Completion {
    const { readHead } = this.#replies
    const room = this.#outbox.room(readHead + request.length)
    if (this.#sendCached(request, room)) return undefined
    const start = room.at + readHead
    const bytes = room.slab.bytes.subarray(start, start + request.length)
    const reading = this.#session.served.source.read(bytes, request.offset)
    if (reading === undefined) return this.#wasRead(request, room, bytes)
    return reading.then(
      () => this.#wasRead(request, room, bytes),
      (error: unknown) => {
        this.#outbox.giveBack(room)
        throw error
      },
    )
  }

  /** Where the kernel has the bytes in memory they go from there to the client. */
  #sendCached(request: Request, room: Room): boolean {
    const { offset, length } = request
    if (length < UNCOPIED_BYTES.least || length > UNCOPIED_BYTES.most) return false
    if (!this.#outbox.takesFiles) return false
    const piece = this.#session.served.source.cached?.(offset, length)
    if (piece === undefined) return false
    this.#replies.putReadHead(room.slab.bytes, room.at, request)
    this.#outbox.sendFile(room, piece, length)
    return true
  }

  #wasRead(request: Request, room: Room, bytes: Buffer): Completion {
    const replies = this.#replies
    const maySplit = replies instanceof ChunkedReplies && !request.has(CommandFlag.df)
    if (maySplit && mayHoldHole(bytes, request.offset))
      return this.#postSparse(request, replies, room, bytes)
    this.#postRead(request, room)
    return undefined
  }

  #postRead(request: Request, room: Room): void {
    this.#replies.putReadHead(room.slab.bytes, room.at, request)
    this.#outbox.post(room)
  }

  async #postSparse(
    request: Request,
    replies: ChunkedReplies,
    room: Room,
    bytes: Buffer,
  ): Promise<void> {
    const { source } = this.#session.served
    const pieces = await sparseReply(source, replies, request, bytes).catch((error: unknown) => {
      this.#outbox.giveBack(room)
      throw error
    })
    if (pieces === undefined) this.#postRead(request, room)
    else this.#outbox.sendPieces(pieces, room)
  }

  #write(request: Request): Completion {
    const device = this.#device()
    const writing = device.write(request.payload, request.offset)
    if (writing !== undefined || request.has(CommandFlag.fua))
      return this.#written(device, request, writing)
    this.#outbox.send(this.#replies.done(request))
    return undefined
  }

  async #written(device: BlockDevice, request: Request, writing: Completion): Promise<void> {
    await writing
    if (request.has(CommandFlag.fua)) await device.flush()
    this.#outbox.send(this.#replies.done(request))
  }

  async #otherwise(request: Request): Promise<void> {
    if (request.type === Command.cache) await this.#prefetch(request)
    else if (this.#session.served.access === 'read-write')
      await this.#change(this.#device(), request)
    this.#outbox.send(this.#replies.done(request))
  }

  /** What changes is only let through to an export that may be changed. */
  #device(): BlockDevice {
    const { served } = this.#session
    assert(served.access === 'read-write')
    return served.source
  }

  async #change(device: BlockDevice, request: Request): Promise<void> {
    switch (request.type) {
      case Command.writeZeroes:
        await this.#zero(device, request)
        break
      case Command.trim:
        await inSlices(request, DISCARD_BYTES, this.#over, (offset, length) =>
          device.discard(offset, length),
        )
        break
      case Command.flush:
        return device.flush()
    }
    if (request.has(CommandFlag.fua)) await device.flush()
  }

  /** Zeroes that need no space are made by letting go, which is always fast. */
  #zero(device: BlockDevice, request: Request): Promise<void> {
    if (!request.has(CommandFlag.noHole)) {
      return inSlices(request, DISCARD_BYTES, this.#over, (offset, length) =>
        device.zero(offset, length),
      )
    }
    if (request.has(CommandFlag.fastZero)) throw new Refusal(ErrorValue.notSupported)
    return inSlices(request, STEP_BYTES, this.#over, async (offset, length) => {
      await device.write(ZEROES.subarray(0, length), offset)
    })
  }

  /** Reads what is not known to be zeroes, so that the caches below have it. */
  async #prefetch({ offset, length }: Request): Promise<void> {
    const { source } = this.#session.served
    const range = { offset, length: Math.min(length, MOST_CACHED_BYTES) }
    const scratch = Buffer.allocUnsafe(Math.min(STEP_BYTES, range.length))
    await inSlices(range, STEP_BYTES, this.#over, async (start, most) => {
      for (let at = start; at < start + most;) {
        const extent = await source.extent(at, start + most - at)
        if (extent.kind === 'data') await source.read(scratch.subarray(0, extent.length), at)
        at += extent.length
      }
    })
  }

  async #status(request: Request): Promise<void> {
    const replies = this.#replies
    if (!(replies instanceof ChunkedReplies)) throw new Refusal(ErrorValue.invalid)
    const { length, contexts } = this.#asked(request)
    const { offset } = request
    const { source } = this.#session.served
    if (length === 0 || offset + length > source.size) throw new Refusal(ErrorValue.invalid)
    const one = request.has(CommandFlag.reqOne)
    const lists = await blockStatus(source, { offset, length, contexts, one }, this.#over)
    for (const [index, descriptors] of lists.entries()) {
      const flags = index === lists.length - 1 ? REPLY_FLAG_DONE : 0
      this.#outbox.send(replies.status(request, contexts[index]!.id, descriptors, flags))
    }
  }

  /** What a status request is about: all contexts, or those that its payload names. */
  #asked({ length, payload }: Request): {
    readonly length: number
    readonly contexts: readonly MetaContext[]
  } {
    const { contexts } = this.#session
    if (payload.length === 0) return { length, contexts }
    const ids = idsIn(payload)
    const named = contexts.filter(({ id }) => ids.has(id))
    const expected = StatusPayload.size + named.length * CONTEXT_ID_BYTES
    // Unknown ids, ids given twice and half ones all make it longer than that.
    if (named.length === 0 || payload.length !== expected) throw new Refusal(ErrorValue.invalid)
    return { length: StatusPayload.decode(payload).effectLength, contexts: named }
  }
}

function idsIn(payload: Uint8Array): Set<number> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const ids = new Set<number>()
  for (let at = StatusPayload.size; at + CONTEXT_ID_BYTES <= payload.length; at += CONTEXT_ID_BYTES)
    ids.add(view.getUint32(at))
  return ids
}
