import type { Duplex } from 'node:stream'

/** More than this is not taken from the connection before somebody asks for it. */
const MOST_BUFFERED_BYTES = 128 * 1024

/**
 * Reads a connection in pieces of exact length, for protocols that are a conversation. What it has
 * taken and nobody asked for goes back into the stream when it is disposed of.
 */
export class ByteReader implements Disposable {
  readonly #stream: Duplex
  #chunks: Buffer[] = []
  #buffered = 0
  #ended = false
  #wake: () => void = () => {}

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', this.#take)
    stream.on('end', this.#end)
    stream.on('close', this.#end)
  }

  /** How many bytes are taken and not yet asked for. */
  get buffered(): number {
    return this.#buffered
  }

  /** The next `length` bytes, or undefined if the connection ends before. */
  async read(length: number): Promise<Buffer | undefined> {
    while (this.#buffered < length) {
      if (this.#ended) return undefined
      if (this.#stream.isPaused()) this.#stream.resume()
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    const rest = all.subarray(length)
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#buffered = rest.length
    return all.subarray(0, length)
  }

  [Symbol.dispose](): void {
    this.#stream.off('data', this.#take)
    this.#stream.off('end', this.#end)
    this.#stream.off('close', this.#end)
    this.#stream.pause()
    if (this.#buffered > 0) this.#stream.unshift(Buffer.concat(this.#chunks))
  }

  readonly #take = (chunk: Buffer): void => {
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered > MOST_BUFFERED_BYTES) this.#stream.pause()
    this.#wake()
  }

  readonly #end = (): void => {
    this.#ended = true
    this.#wake()
  }
}
