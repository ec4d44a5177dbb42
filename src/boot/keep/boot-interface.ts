import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIP } from 'node:net'
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { basename } from 'node:path'
import { NameResolver } from '../../http/resolver.ts'

/** The network interface that the root depends on. */
export interface BootInterface {
  readonly name: string
  /** Its hardware address: names may change, and this does not. */
  readonly mac: string
  /** Its addresses with the length of their prefixes, link-local ones left out. */
  readonly addresses: readonly string[]
  /** The interfaces that it is made of, as the ports of a bond, all the way down. */
  readonly lower: readonly string[]
  /** The kernel command line gave it an address; else there is a lease to be renewed. */
  readonly isStatic: boolean
  /** What the initramfs asks for names. */
  readonly nameServers: readonly string[]
}

/** Any port will do: nothing is sent. */
const DISCARD_PORT = 9

/**
 * The interface by which the kernel would send to `host`; undefined when the name is not known or
 * there is no way to it.
 *
 * @param given values of `ip=` on the kernel command line
 */
export async function interfaceTo(
  host: string,
  given: readonly string[],
): Promise<BootInterface | undefined> {
  const local = await localAddressTo(host.replaceAll(/[[\]]/g, ''))
  if (local === undefined) return undefined
  for (const [name, infos = []] of Object.entries(networkInterfaces())) {
    const [first] = infos
    if (first === undefined || !infos.some(({ address }) => address === local)) continue
    const isStatic = infos.some(({ address }) => given.some((value) => gives(value, address)))
    const addresses = infos.flatMap(global)
    const nameServers = nameServersIn('/etc/resolv.conf')
    return { name, mac: first.mac, addresses, lower: lowerOf(name), isStatic, nameServers }
  }
  return undefined
}

function nameServersIn(file: string): string[] {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = '']) => server)
}

/** `ip=ADDRESS:...`, where an address of IPv6 is in brackets (dracut.cmdline(7)). */
function gives(value: string, address: string): boolean {
  return value.startsWith(`${address}:`) || value.startsWith(`[${address}]:`)
}

/** By the first address of `host` that there is a way to. */
async function localAddressTo(host: string): Promise<string | undefined> {
  for (const address of await addressesOf(host)) {
    const local = await sourceTo(address)
    if (local !== undefined) return local
  }
  return undefined
}

/** The name is found as the source finds it: the C library may lack the files that it needs for that. */
async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  try {
    const found = await new NameResolver({ etc: '/etc', run: '/run' }).addresses(host)
    return found.map(({ address }) => address)
  } catch {
    return []
  }
}

/** A datagram socket that is connected has a source address, and nothing is sent for it. */
async function sourceTo(address: string): Promise<string | undefined> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4')
  try {
    socket.connect(DISCARD_PORT, address)
    await once(socket, 'connect')
    return socket.address().address
  } catch {
    return undefined
  } finally {
    socket.close()
  }
}

function global({ cidr, address, internal }: NetworkInterfaceInfo): string[] {
  return internal || cidr === null || address.startsWith('fe80:') ? [] : [cidr]
}

/** The kernel makes a link lower_NAME for each interface that another is made of. */
function lowerOf(name: string): string[] {
  const directory = `/sys/class/net/${name}`
  if (!existsSync(directory)) return []
  const lower = readdirSync(directory)
    .filter((entry) => entry.startsWith('lower_'))
    .map((entry) => basename(realpathSync(`${directory}/${entry}`)))
  return [...new Set(lower.flatMap((each) => [each, ...lowerOf(each)]))]
}

/** The router of the default route through `name` (proc_net(5), route), if there is one. */
export function routerOf(name: string): string | undefined {
  const [, ...rows] = readFileSync('/proc/net/route', 'utf8').split('\n')
  for (const row of rows) {
    const [device, destination, gateway = ''] = row.split('\t')
    if (device !== name || destination !== '00000000' || gateway === '00000000') continue
    // Each address is a number in the order of this machine's bytes.
    return [...Buffer.from(gateway, 'hex').reverse()].join('.')
  }
  return undefined
}
