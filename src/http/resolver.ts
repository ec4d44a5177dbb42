import { type LookupAddress, type LookupOptions, lookup, promises } from 'node:dns'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { type Clock, systemClock } from '../block/clock.ts'
import { type NameFiles, hosts, nameServers, resolvConf } from './name-servers.ts'

type Answer = (
  error: NodeJS.ErrnoException | null,
  addresses: LookupAddress[] | string,
  family?: number,
) => void
/** As `lookup` of node:dns. */
export type Lookup = (hostname: string, options: LookupOptions, answer: Answer) => void

/** An answer is not asked for again this soon. */
const FRESH_MS = 60_000
/** What is remembered is good enough when asking takes longer. */
const PATIENCE_MS = 2000
/** The system gets this long; then the servers of the leases are asked, too. */
const SYSTEM_MS = 1000
/** Names that are remembered; a boot has a handful. */
const MOST_NAMES = 64
/** For one question to one server; asked twice. */
const QUERY_MS = 1500

interface Remembered {
  readonly addresses: LookupAddress[]
  readonly atMs: number
}

/**
 * Finds servers by name, for as long as the machine runs. While there is a resolv.conf the system
 * is asked, with all that it knows; the one that the daemon of a root keeps is that of the initramfs,
 * and the machine may be in another network by now. So where the system has no answer, or none yet,
 * the name servers are asked that the leases have by now, then those of before. Whoever has lost
 * resolv.conf with the initramfs asks only these, and has the hosts of then. At last whatever was
 * answered last is good enough.
 */
export class NameResolver {
  readonly #files: NameFiles
  readonly #clock: Clock
  readonly #hosts: ReadonlyMap<string, LookupAddress[]>
  /** The name servers that there are, and that there were. */
  #servers: ReturnType<typeof resolvConf>
  readonly #remembered = new Map<string, Remembered>()

  constructor(files: NameFiles, clock: Clock = systemClock) {
    this.#files = files
    this.#clock = clock
    this.#hosts = hosts(files)
    this.#servers = nameServers(files, resolvConf(files))
  }

  readonly lookup: Lookup = (hostname, options, answer) => {
    this.addresses(hostname).then(
      (found) => {
        const wanted = `${options.family ?? 0}`.replace('IPv', '')
        const fitting = found.filter(({ family }) => wanted === '0' || wanted === `${family}`)
        const [first] = fitting
        if (first === undefined) answer(notFound(hostname, 'ENOTFOUND'), [])
        else if (options.all === true) answer(null, fitting)
        else answer(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => answer(error, []),
    )
  }

  /** Throws with the code ENOTFOUND or EAI_AGAIN. */
  async addresses(hostname: string): Promise<LookupAddress[]> {
    const name = hostname.toLowerCase().replace(/\.$/, '')
    const known = this.#remembered.get(name)
    if (known && this.#clock.now() - known.atMs < FRESH_MS) return known.addresses
    const asking = this.#ask(name).then((addresses) => {
      this.#remember(name, addresses)
      return addresses
    })
    if (known === undefined) return asking
    const old = () => known.addresses
    return Promise.race([asking.catch(old), this.#clock.sleep(PATIENCE_MS).then(old)])
  }

  /** The name that was asked for last is the last; redirects may bring any number of them. */
  #remember(name: string, addresses: LookupAddress[]): void {
    this.#remembered.delete(name)
    this.#remembered.set(name, { addresses, atMs: this.#clock.now() })
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > MOST_NAMES && oldest !== undefined) this.#remembered.delete(oldest)
  }

  async #ask(name: string): Promise<LookupAddress[]> {
    if (!existsSync(`${this.#files.etc}/resolv.conf`)) return this.#askServers(name)
    const system = bySystem(name)
    const inTime = new AbortController()
    const late = this.#clock.sleep(SYSTEM_MS, inTime.signal).catch(() => {})
    try {
      const found = await Promise.race([system, late])
      if (found !== undefined) return found
    } catch {
      return this.#askServers(name)
    } finally {
      inTime.abort()
    }
    const servers = this.#askServers(name)
    return Promise.any([servers, system]).catch(() => servers)
  }

  async #askServers(name: string): Promise<LookupAddress[]> {
    const named = this.#hosts.get(name)
    if (named !== undefined) return named
    // Files of leases end, too: with the network of the initramfs, before that of the system is up.
    this.#servers = nameServers(this.#files, this.#servers)
    const { servers, search } = this.#servers
    if (servers.length === 0) throw notFound(name, 'EAI_AGAIN')
    const resolver = new promises.Resolver({ timeout: QUERY_MS, tries: 2 })
    resolver.setServers([...servers])
    const longer = search.map((domain) => `${name}.${domain}`)
    let heard = false
    for (const candidate of name.includes('.') ? [name, ...longer] : [...longer, name]) {
      const [four, six] = await Promise.allSettled([
        resolver.resolve4(candidate),
        resolver.resolve6(candidate),
      ])
      const found = [...addressesOf(four, 4), ...addressesOf(six, 6)]
      if (found.length > 0) return found
      heard ||= denies(four) || denies(six)
    }
    throw notFound(name, heard ? 'ENOTFOUND' : 'EAI_AGAIN')
  }
}

/** Throws if it finds nothing. */
function bySystem(name: string): Promise<LookupAddress[]> {
  return promisify(lookup)(name, { all: true })
}

function addressesOf(answer: PromiseSettledResult<string[]>, family: number): LookupAddress[] {
  if (answer.status === 'rejected') return []
  return answer.value.map((address) => ({ address, family }))
}

/** A name server has said that there is no such name. */
function denies(answer: PromiseSettledResult<string[]>): boolean {
  const code: unknown = answer.status === 'rejected' ? answer.reason?.code : undefined
  return code === 'ENOTFOUND' || code === 'ENODATA'
}

function notFound(hostname: string, code: 'ENOTFOUND' | 'EAI_AGAIN'): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code} ${hostname}`), { code, hostname })
}
