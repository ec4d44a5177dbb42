import { type ZstdDecompress, createZstdDecompress } from 'node:zlib'

/** How many idle decoders are kept; each holds a window, 128 KiB to 2 MiB, and a chunk. */
const KEPT = 8
/** What a decoder hands over at once. */
const CHUNK_BYTES = 256 * 1024

/**
 * Decodes zstd frames with streams that are used again: for a small frame, making a decoder costs
 * more than decoding. A stream that failed is thrown away.
 */
class ZstdDecoders {
  readonly #idle: ZstdDecoder[] = []

  /**
   * Decodes whole frames, one behind the other, and returns how many bytes they held. Rejects if
   * they are damaged or hold more than `into` does.
   */
  async decode(frames: Uint8Array, into: Uint8Array): Promise<number> {
    const decoder = this.#idle.pop() ?? new ZstdDecoder()
    try {
      const bytes = await decoder.decode(frames, into)
      if (this.#idle.length < KEPT) this.#idle.push(decoder)
      else decoder.close()
      return bytes
    } catch (error) {
      decoder.close()
      throw error
    }
  }
}

export const zstdDecoders = new ZstdDecoders()

class ZstdDecoder {
  readonly #stream: ZstdDecompress
  #take: (chunk: Uint8Array) => void = () => {}
  #fail: (error: Error) => void = () => {}

  constructor() {
    this.#stream = createZstdDecompress({ chunkSize: CHUNK_BYTES })
    this.#stream.on('data', (chunk: Uint8Array) => this.#take(chunk))
    this.#stream.on('error', (error) => this.#fail(error))
  }

  decode(frames: Uint8Array, into: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    let length = 0
    this.#fail = reject
    this.#take = (chunk) => {
      if (length + chunk.length > into.length) {
        this.#take = () => {}
        reject(new RangeError(`more than ${into.length} bytes`))
        return
      }
      into.set(chunk, length)
      length += chunk.length
    }
    // All that whole frames hold is out when they have been taken in.
    this.#stream.write(frames, (error) => (error ? reject(error) : resolve(length)))
    return promise
  }

  close(): void {
    this.#take = () => {}
    this.#fail = () => {}
    this.#stream.destroy()
  }
}
