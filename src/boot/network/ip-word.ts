import { isIPv4 } from 'node:net'
import { parseKernelCommandLine } from '../../cli/kernel-command-line.ts'
import { UsageError } from '../../errors.ts'

/** An IPv4 address as it is set up on an interface. */
export interface Address {
  readonly address: string
  /** The length of the network's part, 1 to 32. */
  readonly prefix: number
  readonly gateway?: string
  readonly nameServers: readonly string[]
}

/** How the kernel command line wants the network: by `ip=` and `BOOTIF=`. */
export interface Wanted {
  /** `none` leaves everything as it is. */
  readonly how: 'none' | 'dhcp' | Address
  /** The one card to use: its name, or its hardware address in lower case with colons. */
  readonly card?: string
}

const NONE = new Set(['none', 'off'])
const ANY = new Set(['', 'on', 'any', 'dhcp', 'both'])
/** Set up by hand if there is an address. */
const BY_HAND = new Set(['', 'none', 'off', 'static'])
const ADVICE =
  'write ip=dhcp, ip=CARD:dhcp, or ip=ADDRESS::GATEWAY:NETMASK:HOSTNAME:CARD:none:NAMESERVER'

/**
 * Reads `ip=` as the kernel does (Documentation/admin-guide/nfs/nfsroot.rst), with dracut's
 * CARD:dhcp beside it, and `BOOTIF=` as boot loaders write it: the type of the hardware and its
 * address. Without `ip=` it is DHCP. Throws `UsageError` about what cannot be meant.
 */
export function wantedNetwork(commandLine: string): Wanted {
  let ip = ''
  let boot: string | undefined
  for (const { name, value = '' } of parseKernelCommandLine(commandLine)) {
    if (name === 'ip') ip = value
    if (name === 'BOOTIF') boot = hardwareAddress(value)
  }
  const wanted = parseIp(ip)
  return wanted.card === undefined && boot !== undefined ? { ...wanted, card: boot } : wanted
}

function parseIp(text: string): Wanted {
  if (NONE.has(text)) return { how: 'none' }
  if (ANY.has(text)) return { how: 'dhcp' }
  const fields = text.split(':')
  if (fields.length === 2 && ANY.has(fields[1]!)) return { how: 'dhcp', card: fields[0]! }
  const [address = '', , gateway = '', netmask = '', , card = '', method = ''] = fields
  const on = card === '' ? {} : { card }
  if (address === '') {
    if (ANY.has(method)) return { how: 'dhcp', ...on }
    if (NONE.has(method)) return { how: 'none' }
  }
  const prefix = prefixOf(netmask)
  const servers = fields.slice(7, 9).filter((server) => server !== '')
  const known = [address, ...(gateway === '' ? [] : [gateway]), ...servers].every(isIPv4)
  if (!known || prefix === undefined || !BY_HAND.has(method)) {
    throw new UsageError(`ip=${text} says no network that netcow can set up`, { advice: ADVICE })
  }
  const how = { address, prefix, ...(gateway !== '' && { gateway }), nameServers: servers }
  return { how, ...on }
}

/** The length that a netmask such as 255.255.255.0 or 24 stands for. */
export function prefixOf(netmask: string): number | undefined {
  if (/^\d{1,2}$/.test(netmask)) {
    const length = Number(netmask)
    return length >= 1 && length <= 32 ? length : undefined
  }
  if (!isIPv4(netmask)) return undefined
  const bits = netmask.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0'))
  return /^(1+)0*$/.exec(bits.join(''))?.[1]?.length
}

/** `01-52-54-00-12-34-56`, or without the type in front, or with colons. */
function hardwareAddress(text: string): string {
  const [, address] =
    /^(?:[\da-f]{2}[-:])?((?:[\da-f]{2}[-:]){5}[\da-f]{2})$/.exec(text.toLowerCase()) ?? []
  if (address !== undefined) return address.replaceAll('-', ':')
  throw new UsageError(`BOOTIF=${text} is no hardware address`, {
    advice: 'write it as 01-52-54-00-12-34-56',
  })
}
