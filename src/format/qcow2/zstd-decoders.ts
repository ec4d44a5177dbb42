import { type ZstdDecompress, createZstdDecompress } from 'node:zlib'

/** How many idle decoders are kept; each holds its window, 128 KiB to 2 MiB. */
const KEPT = 8
/** Room behind what is expected, so that the decoder ends in one step. */
const SLACK_BYTES = 64

/**
 * Decodes zstd frames with streams that are used again: for a small frame, making a decoder costs
 * more than decoding. A stream that failed is thrown away.
 */
class ZstdDecoders {
  readonly #idle: ZstdDecoder[] = []

  /** `frame` is exactly one frame. Rejects if it is damaged, or holds more than `most` bytes. */
  async decode(frame: Uint8Array, most: number): Promise<Uint8Array> {
    const fit = this.#idle.findIndex((decoder) => decoder.chunkBytes >= most + SLACK_BYTES)
    const decoder =
      this.#idle.splice(fit, fit < 0 ? 0 : 1)[0] ?? new ZstdDecoder(most + SLACK_BYTES)
    try {
      const bytes = await decoder.decode(frame, most)
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
  readonly chunkBytes: number
  readonly #stream: ZstdDecompress
  #take: (chunk: Uint8Array) => void = () => {}
  #fail: (error: Error) => void = () => {}

  constructor(chunkBytes: number) {
    this.chunkBytes = chunkBytes
    this.#stream = createZstdDecompress({ chunkSize: chunkBytes })
    this.#stream.on('data', (chunk: Uint8Array) => this.#take(chunk))
    this.#stream.on('error', (error) => this.#fail(error))
  }

  decode(frame: Uint8Array, most: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const chunks: Uint8Array[] = []
    let length = 0
    this.#fail = reject
    this.#take = (chunk) => {
      chunks.push(chunk)
      length += chunk.length
      if (length > most) reject(new RangeError(`more than ${most} bytes`))
    }
    // All that a frame holds is out when the frame has been taken in.
    this.#stream.write(frame, (error) => {
      if (error) reject(error)
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    })
    return promise
  }

  close(): void {
    this.#fail = () => {}
    this.#stream.destroy()
  }
}
