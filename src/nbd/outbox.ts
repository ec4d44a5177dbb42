import type { Writable } from 'node:stream'
import type { CachedPiece } from '../block/source.ts'
import { LendingSocket } from './lending-socket.ts'
import { SLAB_BYTES, type Slab, giveSlab, slabBytes, takeSlab } from './slab-pool.ts'

/** How much memory a reply of `length` bytes needs at most, but for what it shares with others. */
export function roomBytes(length: number): number {
  return length > SLAB_BYTES / 2 ? slabBytes(length) : length
}

/** A reply that is being made: `length` bytes at `at` of the slab. */
export interface Room {
  readonly slab: Slab
  readonly at: number
  readonly length: number
}

/** Replies that wait for each other leave once they are so many: the client begins while we go on. */
const WRITE_BYTES = 64 * 1024
/** Pieces up to this size are copied to what leaves with them, larger ones leave by themselves. */
const COPIED_BYTES = 4096

/**
 * What goes to one client. Replies are made where they leave from, one behind the other, and those
 * that are ready at the same moment leave in one system call: that, and no memory that has to be
 * found and cleared for each, is most of what makes small requests fast.
 */
export class Outbox {
  readonly #stream: Writable
  readonly #freed: () => void
  #slab: Slab = takeSlab(1)
  /** What is ready to leave: this much of the slab, made of so many rooms. */
  #ready: { slab: Slab; start: number; end: number; rooms: number } | undefined
  #scheduled = false
  #held = 0
  #sent = 0
  #taken = 0
  #isTorn = false

  /** @param freed told of memory that is not held any longer */
  constructor(stream: Writable, freed: () => void) {
    this.#stream = stream
    this.#freed = freed
  }

  /** Bytes of memory that replies hold, from the moment they find room until they are taken. */
  get held(): number {
    return this.#held
  }

  /** Bytes that were given to the stream since the beginning. */
  get sent(): number {
    return this.#sent
  }

  /** Bytes of those that it does not hold any more. */
  get taken(): number {
    return this.#taken
  }

  /** Whether a part of a reply has left, and the rest never will: nothing else makes sense then. */
  get isTorn(): boolean {
    return this.#isTorn
  }

  /** Room for a reply; it has to be posted or given back. */
  room(length: number): Room {
    const slab = length > SLAB_BYTES / 2 ? takeSlab(length) : this.#slabWithRoom(length)
    const at = slab.given
    slab.given += length
    if (slab.uses++ === 0) this.#held += slab.bytes.length
    return { slab, at, length }
  }

  /** The reply is made: it leaves. */
  post({ slab, at, length }: Room): void {
    if (this.#ready !== undefined && (this.#ready.slab !== slab || this.#ready.end !== at))
      this.flush()
    if (this.#ready === undefined) this.#ready = { slab, start: at, end: at, rooms: 0 }
    this.#ready.end += length
    this.#ready.rooms++
    if (this.#ready.end - this.#ready.start >= WRITE_BYTES) this.flush()
    else this.#schedule()
  }

  /** There will be no such reply. */
  giveBack({ slab }: Room): void {
    this.#free(slab, 1)
  }

  /** Sends a reply that was made elsewhere and is not changed any more. */
  send(reply: Uint8Array): void {
    if (reply.length > COPIED_BYTES) {
      this.flush()
      if (!this.#stream.writable) return
      this.#held += reply.length
      this.#write(reply, () => this.#release(reply.length))
    } else {
      const room = this.room(reply.length)
      room.slab.bytes.set(reply, room.at)
      this.post(room)
    }
  }

  /** Whether bytes of a file can leave at once: nothing is before them, and nobody encrypts them. */
  get takesFiles(): boolean {
    return this.#stream instanceof LendingSocket && this.#stream.isDirect
  }

  /**
   * Sends a reply of which the last `length` bytes, for which `room` is, stand in a file. Throws if
   * they cannot be read, which tears the reply.
   */
  sendFile(room: Room, piece: CachedPiece, length: number): void {
    const { slab, at } = room
    const start = at + room.length - length
    // The head and what the socket does not take of the file leave one after the other.
    slab.uses++
    this.post({ slab, at, length: start - at })
    this.flush()
    const taken = this.#sendFileNow(piece, length)
    const rest = slab.bytes.subarray(start + taken, start + length)
    if (rest.length === 0) return this.#free(slab, 1)
    try {
      piece.readNow(rest, piece.offset + taken)
    } catch (error) {
      this.#isTorn = true
      this.#free(slab, 1)
      throw error
    }
    this.#write(rest, () => this.#free(slab, 1))
  }

  #sendFileNow({ fd, offset }: CachedPiece, length: number): number {
    if (!(this.#stream instanceof LendingSocket)) return 0
    const taken = this.#stream.sendFile(fd, offset, length)
    this.#sent += taken
    this.#taken += taken
    return taken
  }

  /** Sends a reply in pieces, some of which are parts of `room`, and gives that back behind them. */
  sendPieces(pieces: readonly Uint8Array[], room: Room): void {
    this.flush()
    if (!this.#stream.writable) {
      this.giveBack(room)
      return
    }
    this.#stream.cork()
    const last = pieces.length - 1
    for (const [index, piece] of pieces.entries())
      this.#queue(piece, index < last ? undefined : () => this.giveBack(room))
    this.#stream.uncork()
  }

  /** Does `work` and sends what it made ready, with what was ready before. */
  gather(work: () => void): void {
    const wasScheduled = this.#scheduled
    this.#scheduled = true
    work()
    this.#scheduled = wasScheduled
    this.flush()
  }

  /** Sends what is ready, now. */
  flush(): void {
    const ready = this.#ready
    if (ready === undefined) return
    this.#ready = undefined
    const { slab, start, end, rooms } = ready
    if (this.#stream.writable)
      this.#write(slab.bytes.subarray(start, end), () => this.#free(slab, rooms))
    else this.#free(slab, rooms)
  }

  #write(bytes: Uint8Array, over: () => void): void {
    const taken = this.#stream instanceof LendingSocket ? this.#stream.sendNow(bytes) : 0
    this.#sent += taken
    this.#taken += taken
    if (taken === bytes.length) over()
    else this.#queue(bytes.subarray(taken), over)
  }

  #queue(bytes: Uint8Array, over?: () => void): void {
    this.#sent += bytes.length
    this.#stream.write(bytes, () => {
      this.#taken += bytes.length
      over?.()
    })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  #slabWithRoom(length: number): Slab {
    const old = this.#slab
    if (old.given + length > old.bytes.length) {
      this.#slab = takeSlab(length)
      if (old.uses === 0) giveSlab(old)
    }
    return this.#slab
  }

  #free(slab: Slab, rooms: number): void {
    slab.uses -= rooms
    if (slab.uses > 0) return
    const { length } = slab.bytes
    if (slab === this.#slab) slab.given = 0
    else giveSlab(slab)
    this.#release(length)
  }

  #release(length: number): void {
    this.#held -= length
    this.#freed()
  }
}
