import assert from 'node:assert/strict'
import { type Clock, systemClock } from '../block/clock.ts'
import { type BlockSource, type Came, type Extent, assertRange } from '../block/source.ts'
import type { LinkSpeed } from '../block/speculation.ts'
import { type NetcowError, SourceChanged, SourceRefused, isNetcowError } from '../errors.ts'
import { shown } from '../image-name.ts'
import { Original, firstOpened, worstOf } from './admission.ts'
import { Hedges, type Reader, firstToFill } from './hedge.ts'
import { type HttpOptions, openTransport, routeTo } from './options.ts'
import type { Destinations } from './redirects.ts'
import { type Server, sentAway, serversOf } from './server.ts'
import { HttpSource, type Opened } from './source.ts'
import type { SourceState } from './state.ts'
import type { Transport } from './transport.ts'

/** A line about the same server is not said again this soon. */
const REPEAT_LINE_MS = 60_000

/**
 * One version of one file on one or several servers. A read goes to the server that should be
 * through with it first; one that fails is left, and tried again later; one that is late gets
 * company from another. A place is read from only when it is proven to have the same file.
 */
export class Mirrors implements BlockSource {
  readonly size: number
  readonly #servers: readonly Server[]
  readonly #original: Original
  readonly #transport: Transport
  readonly #options: HttpOptions
  readonly #clock: Clock
  readonly #report: (line: string) => void
  readonly #hedges = new Hedges()
  /** Places that are being compared with the original just now. */
  readonly #looking = new Set<Server>()
  readonly #saidAtMs = new Map<Server, number>()
  #isClosed = false

  private constructor(
    servers: readonly Server[],
    original: Original,
    transport: Transport,
    options: HttpOptions,
    report: (line: string) => void,
  ) {
    this.size = original.size
    this.#servers = servers
    this.#original = original
    this.#transport = transport
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#report = report
  }

  /**
   * Opens the file at all its places and pins the version of the first that answers, the URL itself
   * before its mirrors; hands over the head of the file, which came along. Throws `SourceUnavailable`
   * while one of the places may still come, else what the URL itself fails with; `RangesRefused` if
   * that one has the file, and nobody has ranges of it.
   *
   * @param servers of `serversOf`: who tries again gives the same, so that one which asked to be left
   *   alone is
   */
  static async open(
    url: URL,
    options: HttpOptions,
    report: (line: string) => void,
    servers = serversOf(url, options),
  ): Promise<{ source: Mirrors; head: Uint8Array }> {
    const transport = openTransport(options)
    const wantsDigest = servers.length > 1
    const due = new Set(servers.filter((server) => !server.askedToStayAway))
    const open = async (server: Server) => {
      if (!due.has(server)) throw sentAway([server])
      return HttpSource.open(routeTo(server.url, transport, options), options.identity, wantsDigest)
    }
    const [own, ...others] = servers
    const openings = [open(own), ...others.map(open)] as const
    try {
      const first = await firstOpened(openings, options.clock ?? systemClock)
      const source = new Mirrors(servers, new Original(first), transport, options, report)
      for (const [index, server] of servers.entries()) {
        if (server.url === first.route.url) server.admit(first.source)
        else if (due.has(server)) source.#look(server, openings[index]!)
      }
      return { source, head: first.head }
    } catch (error) {
      for (const [index, server] of servers.entries()) {
        const heed = (failure: unknown) => isNetcowError(failure) && server.failed(failure)
        if (due.has(server)) void openings[index]!.catch(heed)
      }
      await transport[Symbol.asyncDispose]()
      throw error
    }
  }

  get state(): Omit<SourceState, 'waiting'> {
    const servers = this.#servers.map(({ state }) => state)
    return {
      url: servers[0]!.url,
      sizeBytes: this.size,
      requests: servers.reduce((sum, { requests }) => sum + requests, 0),
      receivedBytes: servers.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
      servers,
    }
  }

  /** Of the places that are proven to have the file, as far as they lead elsewhere. */
  get destinations(): Destinations {
    const found = this.#servers.flatMap(({ url, source }) =>
      source && source.destination.href !== url.href
        ? [[url.href, source.destination] as const]
        : [],
    )
    return new Map(found)
  }

  /** Of the whole file, in base64; undefined if the servers have none. Throws as `read` does. */
  sha256(): Promise<string | undefined> {
    return this.#original.sha256()
  }

  /** Of the server that is read from. */
  get speed(): LinkSpeed | undefined {
    return this.#best(0, new Set())?.source?.pace.speed
  }

  async read(target: Uint8Array, offset: number, came?: Came): Promise<void> {
    assertRange(this.size, offset, target.length)
    this.#lookAround()
    this.#hedges.earn()
    const asked = new Set<Server>()
    const failures: unknown[] = []
    for (;;) {
      const server = this.#best(target.length, asked) ?? this.#lastResort(asked)
      if (server === undefined) break
      asked.add(server)
      try {
        return await this.#readFrom(server, target, offset, asked, came)
      } catch (error) {
        failures.push(...(error instanceof AggregateError ? error.errors : [error]))
      }
    }
    if (failures.length === 0) throw sentAway(this.#servers)
    throw worstOf(failures)
  }

  async extent(offset: number, length: number): Promise<Extent> {
    assertRange(this.size, offset, length)
    return { kind: 'data', length, depth: 1 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    return this.#transport[Symbol.asyncDispose]()
  }

  /** The server that should be through first. */
  #best(bytes: number, asked: ReadonlySet<Server>): Server | undefined {
    const due = this.#servers.filter(
      (server) => server.source && server.pauseMs === 0 && !asked.has(server),
    )
    return least(due, ({ source }) => source?.pace.expectedMs(bytes) ?? Infinity)
  }

  /** When nothing else is left: one that has failed lately, but has not sent us away. */
  #lastResort(asked: ReadonlySet<Server>): Server | undefined {
    const left = this.#servers.filter(
      (server) => server.source && !server.askedToStayAway && !asked.has(server),
    )
    return least(left, ({ pauseMs }) => pauseMs)
  }

  async #readFrom(
    server: Server,
    target: Uint8Array,
    offset: number,
    asked: Set<Server>,
    came: Came | undefined,
  ): Promise<void> {
    const first = this.#reader(server, offset, came)
    if (this.#servers.length === 1) return first(target)
    const second = () => {
      const other = this.#best(target.length, asked)
      const leave = other && this.#hedges.take()
      if (other === undefined || leave === undefined) return undefined
      asked.add(other)
      const reader: Reader = async (copy, signal) => {
        using _leave = leave
        await this.#reader(other, offset)(copy, signal)
      }
      return reader
    }
    const lateMs = server.source?.pace.lateMs(target.length) ?? 0
    await firstToFill(target, first, second, lateMs, this.#clock)
  }

  #reader(server: Server, offset: number, came?: Came): Reader {
    return async (target, signal) => {
      const { source } = server
      assert(source)
      const startedMs = performance.now()
      try {
        await source.read(target, offset, came, signal)
      } catch (error) {
        if (signal?.aborted) source.pace.gaveUp(performance.now() - startedMs)
        // What came of the version before it says nothing about what was admitted since.
        else if (source === server.source) this.#failed(server, error)
        throw error
      }
      this.#answered(server)
    }
  }

  /** Looks again at places that had no proven copy, when it is time. */
  #lookAround(): void {
    for (const server of this.#servers) {
      if (this.#looking.has(server)) continue
      if (server.source === undefined) {
        if (server.pauseMs === 0) this.#look(server, this.#open(server.url))
      } else if (server.isToBeLookedAtAgain && this.#original.isKnown) this.#lookAgain(server)
    }
  }

  /** Makes a mirror of a place when it is proven to have the same file. */
  #look(server: Server, opening: Promise<Opened>): void {
    const look = async () => {
      const opened = await opening
      await this.#original.prove(opened)
      server.admit(opened.source)
      this.#saidAtMs.delete(server)
    }
    this.#inBackground(server, look, (error) => this.#failed(server, error))
  }

  /**
   * Looks if a place that has had another file has ours again, under another name. Its old source is
   * asked all the same, since the old name may come back, too.
   */
  #lookAgain(server: Server): void {
    let found: HttpSource | undefined
    const look = async () => {
      const opened = await this.#open(server.url)
      found = opened.source
      if (server.isUnproven(found)) throw new SourceRefused('the file is still another one')
      await this.#original.proveAgain(opened)
      this.#answered(server)
      server.admit(found)
    }
    this.#inBackground(server, look, (error) => server.lookedInVain(error, found))
  }

  #inBackground(
    server: Server,
    look: () => Promise<void>,
    failed: (error: NetcowError) => void,
  ): void {
    this.#looking.add(server)
    const looking = async () => {
      try {
        await look()
      } catch (error) {
        // Our own bugs are nothing to try again.
        if (!isNetcowError(error)) throw error
        failed(error)
      }
      this.#looking.delete(server)
    }
    void looking()
  }

  #open(url: URL): Promise<Opened> {
    const route = routeTo(url, this.#transport, this.#options)
    return HttpSource.open(route, this.#options.identity, true)
  }

  #failed(server: Server, error: unknown): void {
    if (!isNetcowError(error) || this.#isClosed) return
    server.failed(error)
    if (error instanceof SourceChanged) this.#original.changed()
    if (this.#servers.length === 1) return
    const now = this.#clock.now()
    if (now - (this.#saidAtMs.get(server) ?? -Infinity) < REPEAT_LINE_MS) return
    this.#saidAtMs.set(server, now)
    const what = server.source ? 'left for a while' : 'not used'
    this.#report(`mirror ${shown(server.url)} is ${what}: ${error.line}`)
  }

  #answered(server: Server): void {
    if (server.failures === 0) return
    server.answered()
    if (this.#saidAtMs.has(server)) this.#report(`mirror ${shown(server.url)} is used again`)
  }
}

function least<T>(items: readonly T[], measure: (item: T) => number): T | undefined {
  return items.reduce<T | undefined>(
    (best, item) => (best === undefined || measure(item) < measure(best) ? item : best),
    undefined,
  )
}
