import type { ZstdDecompress } from 'node:zlib'
import { Slots } from '../../block/slots.ts'
import { StraightDecoder } from './straight-decoder.ts'

/** How many decoders an image has; each holds a window, up to 2 MiB, and a chunk. */
const MOST = 16
/** What is decoded on the main thread, in less than a millisecond, for which nothing else is answered. */
const MOST_AT_ONCE_BYTES = 128 * 1024
/** Room behind what is expected, so that a decoder ends in one step and sees an output too long. */
const SLACK_BYTES = 64

/**
 * Decodes, on libuv's threads where several processors help, with streams that are used again: making a stream, and the garbage it
 * leaves behind, costs more than decoding a cluster.
 */
export class Decoders {
  readonly #encoding: Encoding
  readonly #chunkBytes: number
  readonly #idle: Decoder[] = []
  readonly #slots = new Slots(MOST)

  /** `bytes` is what is usually decoded at once; more takes more steps. */
  constructor(encoding: Encoding, bytes: number) {
    this.#encoding = encoding
    this.#chunkBytes = bytes + SLACK_BYTES
  }

  /**
   * Decodes `packed` and returns how many bytes came out: more than `into` holds if there was more
   * than that, which is then not all. Rejects if they are damaged.
   *
   * @param alone whether the way to a thread and back, a fifth of what a cluster takes, brings nothing
   */
  decode(packed: Uint8Array, into: Uint8Array, alone: boolean): Promise<number> {
    return this.#slots.run(async () => {
      const decoder = this.#idle.pop() ?? (await this.#another())
      const atOnce = alone && into.length <= MOST_AT_ONCE_BYTES
      const length =
        atOnce && decoder.decodeNow
          ? decoder.decodeNow(packed, into)
          : await decoder.decode(packed, into)
      // Whatever ended in another way may still be in the middle of something.
      if (length === into.length) this.#idle.push(decoder)
      else decoder.close()
      return length
    })
  }

  /** Images without compressed clusters need no zlib, and open sooner. */
  async #another(): Promise<Decoder> {
    return DECODERS[this.#encoding](await import('node:zlib'), this.#chunkBytes)
  }
}

export interface Decoder {
  /** Returns how many bytes came out, some more than fit into `into` if there was too much. */
  decode(packed: Uint8Array, into: Uint8Array): Promise<number>
  /** The same on the thread of the caller; throws if they are damaged. */
  decodeNow?(packed: Uint8Array, into: Uint8Array): number
  close(): void
}

/**
 * `sized` are frames that say how much is in them. They are decoded in one go and never to more than
 * that, or not at all, so that their decoder is at its beginning again.
 */
export type Encoding = 'zlib' | 'zstd' | 'sized zstd'

/**
 * A stream is made for a flow of chunks; this one is given whole frames. All that they hold is out
 * when they have been taken in: it is at 0 again.
 */
class Unzstd implements Decoder {
  readonly #stream: ZstdDecompress
  #into: Uint8Array = new Uint8Array(0)
  #length = 0
  #settle: (error?: unknown) => void = () => {}

  constructor(stream: ZstdDecompress) {
    this.#stream = stream
    // In place of the queue of the stream, which would keep every chunk and end with the first
    // piece that is followed by something else.
    stream.push = (chunk: unknown) => !(chunk instanceof Uint8Array) || this.#take(chunk)
    stream.on('error', (error) => this.#settle(error))
  }

  async decode(packed: Uint8Array, into: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#into = into
    this.#length = 0
    this.#settle = (error) => (error ? reject(error) : resolve())
    this.#stream._transform(packed, 'binary', (error) => this.#settle(error))
    await promise
    return this.#length
  }

  close(): void {
    this.#settle = () => {}
    this.#stream.destroy()
  }

  /** Returns whether the stream shall go on. */
  #take(chunk: Uint8Array): boolean {
    const room = this.#into.length - this.#length
    this.#into.set(chunk.length > room ? chunk.subarray(0, room) : chunk, this.#length)
    this.#length += chunk.length
    // The stream writes the next chunk where it wrote this one. It would take fresh memory without
    // that, which is as right, but more than half of the time goes into collecting it.
    Object.assign(this.#stream, { _outOffset: 0 })
    if (chunk.length > room) this.#settle()
    return chunk.length <= room
  }
}

type Zlib = typeof import('node:zlib')

const DECODERS: Readonly<Record<Encoding, (zlib: Zlib, chunkSize: number) => Decoder>> = {
  zlib: ({ constants, createInflateRaw }) => {
    const stream = createInflateRaw({ flush: constants.Z_SYNC_FLUSH })
    return new StraightDecoder(stream, constants.Z_SYNC_FLUSH, () => stream.reset())
  },
  zstd: ({ createZstdDecompress }, chunkSize) => new Unzstd(createZstdDecompress({ chunkSize })),
  'sized zstd': ({ constants, createZstdDecompress }) =>
    new StraightDecoder(createZstdDecompress(), constants.ZSTD_e_continue, () => {}),
}
