import { Socket, type SocketConstructorOpts } from 'node:net'

/** What libuv reads at once. */
const BUFFER_BYTES = 64 * 1024
/** How many are kept for the next reads. */
const MOST_KEPT = 4

/**
 * What the kernel may hold of replies that the client has not taken. Unless it is told it takes three
 * of 64 KiB, and for the fourth it has to say when there is room again, which costs as much as all the
 * rest of it.
 */
const SEND_BUFFER_BYTES = 512 * 1024

/** What is done to a socket past Node. */
export interface SocketCalls {
  /**
   * Sends what the kernel takes at once of `bytes`, and returns how many bytes that were; 0 if none,
   * whatever the reason.
   */
  sendNow(fd: number, bytes: Uint8Array): number
  /** The same with `length` bytes at `offset` of the file `file`. */
  sendFile(fd: number, file: number, offset: number, length: number): number
  /** Has the kernel hold so many bytes that the other end has not taken, where that is of use. */
  widen(fd: number, bytes: number): void
}

/**
 * Takes the first `length` bytes of a buffer, which is read into again unless it returns that it
 * still looks at them.
 */
export type Consumer = (buffer: Uint8Array, length: number) => boolean

/**
 * A socket that lends what it reads: whoever is done with a chunk when it returns leaves the memory
 * to the next one. Otherwise all that clients write becomes garbage outside of the heap, and to
 * collect that, the whole heap is walked ten times a second. Chunks go past the queue of the stream,
 * and bytes that the kernel takes at once past that of the other direction: for a request of a few
 * bytes the queues of streams cost more than all the rest of it.
 */
export class LendingSocket extends Socket {
  readonly #kept: Uint8Array[]
  readonly #fd: number
  readonly #calls: SocketCalls | undefined
  #consumer: Consumer | undefined

  private constructor(source: object, fd: number, calls: SocketCalls | undefined) {
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
    this.#fd = fd
    this.#calls = calls
    calls?.widen(fd, SEND_BUFFER_BYTES)
  }

  /** Over a connected socket of the system, which it owns from now on. */
  static overDescriptor(fd: number, calls?: SocketCalls): LendingSocket {
    return new LendingSocket({ fd }, fd, calls)
  }

  /**
   * In place of a socket that a server has just accepted, which is of no use any more. Node offers
   * no other way to it than fields that it does not document; where those are not what they were,
   * the socket is returned as it is.
   */
  static inPlaceOf(accepted: Socket, calls?: SocketCalls): Socket {
    const handle: unknown = Reflect.get(accepted, '_handle')
    if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle))
      return accepted
    const fd = 'fd' in handle && typeof handle.fd === 'number' ? handle.fd : -1
    Reflect.set(accepted, '_handle', null)
    accepted.destroy()
    return new LendingSocket({ handle }, fd, fd < 0 ? undefined : calls)
  }

  /** Gives everything that comes to `consumer` from now on, what has come already at once. */
  consume(consumer: Consumer): void {
    const early: unknown = this.read()
    this.#consumer = consumer
    if (early instanceof Uint8Array) consumer(early, early.length)
  }

  /** Whether what is sent now goes to the kernel, with nothing before it. */
  get isDirect(): boolean {
    return this.#calls !== undefined && this.writableLength === 0 && this.writable
  }

  /** Sends what the kernel takes at once, if nothing is before it; returns how many bytes it took. */
  sendNow(bytes: Uint8Array): number {
    return this.isDirect ? this.#calls!.sendNow(this.#fd, bytes) : 0
  }

  /** The same with bytes of a file, which nobody has to read for that. */
  sendFile(file: number, offset: number, length: number): number {
    return this.isDirect ? this.#calls!.sendFile(this.#fd, file, offset, length) : 0
  }

  #take(length: number, buffer: Uint8Array): boolean {
    if (this.#consumer === undefined) {
      this.#keep(buffer)
      return this.push(Buffer.from(buffer.subarray(0, length)))
    }
    if (!this.#consumer(buffer, length)) this.#keep(buffer)
    return true
  }

  #keep(buffer: Uint8Array): void {
    if (this.#kept.length < MOST_KEPT) this.#kept.push(buffer)
  }
}
