import type { LookupAddress } from 'node:dns'
import { readFileSync, readdirSync } from 'node:fs'
import { isIP } from 'node:net'

/**
 * What this machine knows about names, as it stands in files: hosts and resolv.conf, which end with
 * the initramfs, and the leases in /run, which outlive it and change with the network.
 */
export interface NameFiles {
  /** `/etc` and `/run`, under whatever name they are reached. */
  readonly etc: string
  readonly run: string
}

export interface NameServers {
  /** Addresses, each once, the likeliest first. */
  readonly servers: readonly string[]
  /** The domains that short names are looked for in. */
  readonly search: readonly string[]
}

interface LeaseFiles {
  readonly folder: string
  readonly name: RegExp
  readonly server: RegExp
  readonly search: RegExp
}

const RESOLV_CONF = {
  server: /^nameserver[ \t]+(.*)$/gm,
  search: /^(?:search|domain)[ \t]+(.*)$/gm,
}
/** Where those who set up networks leave the name servers, and how they spell them. */
const LEASES: readonly LeaseFiles[] = [
  {
    folder: 'systemd/netif/leases',
    name: /^\d+$/,
    server: /^DNS=(.*)$/gm,
    search: /^(?:DOMAINNAME|DOMAIN_SEARCH_LIST)=(.*)$/gm,
  },
  // What a static configuration says to networkd stands only here.
  {
    folder: 'systemd/netif/links',
    name: /^\d+$/,
    server: /^DNS=(.*)$/gm,
    search: /^DOMAINS=(.*)$/gm,
  },
  { folder: 'NetworkManager', name: /^resolv\.conf$/, ...RESOLV_CONF },
  { folder: 'systemd/resolve', name: /^resolv\.conf$/, ...RESOLV_CONF },
  // ipconfig of klibc, in initramfs-tools
  {
    folder: '.',
    name: /^net-.*\.conf$/,
    server: /^IPV[46]DNS\d='?([^'\n]*)'?$/gm,
    search: /^DNSDOMAIN='?([^'\n]*)'?$/gm,
  },
]
/** As many as are worth the wait when none answers. */
const MOST_SERVERS = 4
const MOST_DOMAINS = 6

/** What the leases say now, and then what was known before. */
export function nameServers({ run }: Pick<NameFiles, 'run'>, before?: NameServers): NameServers {
  const found: NameServers[] = LEASES.flatMap((lease) =>
    namesIn(`${run}/${lease.folder}`)
      .filter((name) => lease.name.test(name))
      .map((name) => parsed(textOf(`${run}/${lease.folder}/${name}`), lease)),
  )
  if (before !== undefined) found.push(before)
  return joined(found)
}

/** What resolv.conf says; nothing when there is none. */
export function resolvConf({ etc }: Pick<NameFiles, 'etc'>): NameServers {
  return joined([parsed(textOf(`${etc}/resolv.conf`), RESOLV_CONF)])
}

/** The addresses of every name in hosts(5). */
export function hosts({ etc }: Pick<NameFiles, 'etc'>): ReadonlyMap<string, LookupAddress[]> {
  const found = new Map<string, LookupAddress[]>()
  for (const line of textOf(`${etc}/hosts`).split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family === 0) continue
    for (const name of names) {
      const before = found.get(name.toLowerCase()) ?? []
      found.set(name.toLowerCase(), [...before, { address, family }])
    }
  }
  return found
}

function parsed(
  text: string,
  { server, search }: Pick<LeaseFiles, 'server' | 'search'>,
): NameServers {
  return {
    // networkd writes ADDRESS#NAME where it was told a name for DNS over TLS.
    servers: wordsOf(text, server).map((word) => word.replace(/#.*/, '')),
    search: wordsOf(text, search).map((word) => word.replace(/^~?\.?/, '').toLowerCase()),
  }
}

function joined(all: readonly NameServers[]): NameServers {
  const servers = all.flatMap(({ servers: some }) => some)
  const search = all.flatMap(({ search: some }) => some)
  return {
    servers: [...new Set(servers.filter(isServer))].slice(0, MOST_SERVERS),
    search: [...new Set(search.filter((domain) => domain !== ''))].slice(0, MOST_DOMAINS),
  }
}

/** An address, perhaps with a port: 10.0.0.1, 10.0.0.1:5353, fd00::1, [fd00::1]:5353. */
function isServer(word: string): boolean {
  if (isIP(word) !== 0) return !/^(0\.0\.0\.0|::)$/.test(word)
  const [, four = '', six = ''] = /^(?:([\d.]+)|\[([^\]]+)\]):\d{1,5}$/.exec(word) ?? []
  return isIP(four) === 4 || isIP(six) === 6
}

function wordsOf(text: string, spelling: RegExp): string[] {
  return [...text.matchAll(spelling)].flatMap(([, words = '']) => words.trim().split(/\s+/))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
