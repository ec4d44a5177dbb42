import type { Duplex } from 'node:stream'
import { PeerRefused, StoreFull } from '../errors.ts'
import type { Export } from './export.ts'
import { ErrorValue, type RequestHeader, SIMPLE_REPLY_MAGIC, SimpleReply } from './protocol.ts'
import { RequestParser } from './request-parser.ts'
import { type Work, validate } from './request.ts'

export interface TransmissionOptions {
  /**
   * Reading pauses while more than this is under way, in requests and in bytes of payload and of
   * replies not yet taken. Infinity for the kernel, which bounds its own queue and, in older
   * versions, handles a partial send badly.
   */
  readonly mostRequests: number
  readonly mostBytes: number
  /** Told of an error that is not the client's doing. */
  readonly report: (error: unknown) => void
  /** Takes no more requests once it is aborted; what is under way is answered. */
  readonly signal?: AbortSignal
}

const NOTHING = new Uint8Array(0)

/**
 * Serves requests on a connection until the client disconnects or vanishes, each as soon as it is
 * there and answered as soon as it is done. Resolves when nothing is under way any more; rejects
 * with `PeerRefused` when the client breaks the protocol.
 */
export function transmit(
  stream: Duplex,
  served: Export,
  options: TransmissionOptions,
): Promise<void> {
  return new Transmission(stream, served, options).finished
}

class Transmission {
  readonly #stream: Duplex
  readonly #served: Export
  readonly #options: TransmissionOptions
  readonly #done = Promise.withResolvers<void>()
  #failure: unknown
  #requests = 0
  #bytes = 0
  #corked = false
  #ending = false

  constructor(stream: Duplex, served: Export, options: TransmissionOptions) {
    this.#stream = stream
    this.#served = served
    this.#options = options
    const parser = new RequestParser({
      keeps: (header) => this.#validate(header).kind === 'write',
      take: (header, payload) => this.#take(header, payload),
    })
    stream.on('data', (chunk: Buffer) => {
      if (this.#ending) return
      try {
        parser.push(chunk)
      } catch (error) {
        if (error instanceof PeerRefused) this.#failure = error
        else options.report(error)
        this.#end()
      }
    })
    stream.resume()
    stream.on('drain', () => this.#pace())
    stream.on('end', () => this.#end())
    stream.on('error', () => this.#end())
    stream.on('close', () => this.#end())
    options.signal?.addEventListener('abort', () => this.#end(), { once: true })
    if (options.signal?.aborted) this.#end()
  }

  get finished(): Promise<void> {
    return this.#done.promise
  }

  #validate(header: RequestHeader): Work {
    return validate(header, this.#served)
  }

  #take(header: RequestHeader, payload: Uint8Array): void {
    if (this.#ending) return
    const work = this.#validate(header)
    if (work.kind === 'disconnect') {
      this.#end()
      return
    }
    const bytes = work.kind === 'read' ? work.length : payload.length
    this.#requests++
    this.#bytes += bytes
    this.#pace()
    this.#perform(work, payload).then(
      (reply) => this.#answer(header, ErrorValue.none, reply, bytes),
      (error: unknown) => this.#answer(header, this.#errorValue(error), NOTHING, bytes),
    )
  }

  /** Resolves with the reply: room for its header, and what was read behind it. */
  async #perform(
    work: Exclude<Work, { kind: 'disconnect' }>,
    payload: Uint8Array,
  ): Promise<Uint8Array> {
    if (work.kind === 'refuse') throw new Refusal(work.error)
    if (work.kind === 'flush') {
      if (this.#served.access === 'read-write') await this.#served.source.flush()
      return NOTHING
    }
    if (work.kind === 'read') {
      const reply = Buffer.allocUnsafe(SimpleReply.size + work.length)
      await this.#served.source.read(reply.subarray(SimpleReply.size), work.offset)
      return reply
    }
    // validate() lets no change through to an export that is only read.
    if (this.#served.access !== 'read-write') throw new Refusal(ErrorValue.perm)
    const device = this.#served.source
    switch (work.kind) {
      case 'write':
        await device.write(payload, work.offset)
        break
      case 'zero':
        await device.zero(work.offset, work.length)
        break
      case 'trim':
        await device.discard(work.offset, work.length)
        break
    }
    if (work.fua) await device.flush()
    return NOTHING
  }

  #errorValue(error: unknown): ErrorValue {
    if (error instanceof Refusal) return error.value
    if (error instanceof StoreFull) return ErrorValue.noSpace
    this.#options.report(error)
    return ErrorValue.io
  }

  #answer(header: RequestHeader, error: ErrorValue, reply: Uint8Array, bytes: number): void {
    this.#requests--
    this.#bytes -= bytes
    if (this.#stream.writable) {
      this.#cork()
      const record = { magic: SIMPLE_REPLY_MAGIC, error, cookie: header.cookie }
      this.#stream.write(SimpleReply.encode(record, reply.length > 0 ? reply : undefined))
    }
    this.#pace()
    if (this.#ending) this.#end()
  }

  /** Replies that are ready at the same moment leave in one system call. */
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#stream.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#stream.uncork()
    })
  }

  #pace(): void {
    const { mostRequests, mostBytes } = this.#options
    const busy =
      this.#requests >= mostRequests || this.#bytes + this.#stream.writableLength >= mostBytes
    if (busy) this.#stream.pause()
    else if (this.#stream.isPaused()) this.#stream.resume()
  }

  /** Takes no more; over when what is under way has been answered. */
  #end(): void {
    this.#ending = true
    if (this.#requests > 0) return
    if (this.#failure === undefined) this.#done.resolve()
    else this.#done.reject(this.#failure)
  }
}

/** An error that the request itself earned; not worth a line in the log. */
class Refusal extends Error {
  readonly value: ErrorValue
  constructor(value: ErrorValue) {
    super(`refused with ${value}`)
    this.value = value
  }
}
