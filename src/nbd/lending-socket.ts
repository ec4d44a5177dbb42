import { Socket, type SocketConstructorOpts } from 'node:net'

/** What libuv reads at once. */
const BUFFER_BYTES = 64 * 1024
/** Less is copied: a few bytes that somebody keeps must not keep a whole buffer. */
const LENT_BYTES = BUFFER_BYTES / 4
/** How many are kept for the next reads. */
const MOST_KEPT = 4

/**
 * A socket whose large chunks are lent: whoever is done with one gives it back, and the next is read
 * into the same memory. Otherwise all that clients write becomes garbage outside of the heap, and
 * to collect that, the whole heap is walked ten times a second.
 */
export class LendingSocket extends Socket {
  readonly #kept: Uint8Array[]
  readonly #lent = new WeakSet<ArrayBufferLike>()

  private constructor(source: object) {
    const kept: Uint8Array[] = []
    const options: SocketConstructorOpts = {
      allowHalfOpen: true,
      onread: {
        buffer: () => kept.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES),
        callback: (length, buffer) => this.#take(length, buffer),
      },
    }
    super(Object.assign(options, source))
    this.#kept = kept
  }

  /** Over a connected socket of the system, which it owns from now on. */
  static overDescriptor(fd: number): LendingSocket {
    return new LendingSocket({ fd })
  }

  /**
   * In place of a socket that a server has just accepted, which is of no use any more. Node offers
   * no other way to it than a field that it does not document; where that is not what it was, the
   * socket is returned as it is.
   */
  static inPlaceOf(accepted: Socket): Socket {
    const handle: unknown = Reflect.get(accepted, '_handle')
    if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle))
      return accepted
    Reflect.set(accepted, '_handle', null)
    accepted.destroy()
    return new LendingSocket({ handle })
  }

  /** Takes back a chunk, if it was lent, that nobody looks at any more. */
  giveBack(chunk: Uint8Array): void {
    if (this.#lent.delete(chunk.buffer)) this.#keep(new Uint8Array(chunk.buffer))
  }

  #take(length: number, buffer: Uint8Array): boolean {
    if (length < LENT_BYTES) {
      this.#keep(buffer)
      return this.push(Buffer.from(buffer.subarray(0, length)))
    }
    this.#lent.add(buffer.buffer)
    return this.push(Buffer.from(buffer.buffer, 0, length))
  }

  #keep(buffer: Uint8Array): void {
    if (this.#kept.length < MOST_KEPT) this.#kept.push(buffer)
  }
}
