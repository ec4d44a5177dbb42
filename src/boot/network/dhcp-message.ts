import { bytes, struct, u16, u32, u8 } from '../../binary/struct.ts'
import { type Address, prefixOf } from './ip-word.ts'

/** DHCP's messages, RFC 2131 and its options in RFC 2132, as far as a diskless machine needs them. */

/** RFC 2131, section 2, and the magic cookie of section 3. */
const HEAD = struct({
  op: u8,
  htype: u8,
  hlen: u8,
  hops: u8,
  xid: u32,
  secs: u16,
  flags: u16,
  ciaddr: bytes(4),
  yiaddr: bytes(4),
  siaddr: bytes(4),
  giaddr: bytes(4),
  chaddr: bytes(16),
  sname: bytes(64),
  file: bytes(128),
  cookie: u32,
})

const BOOTREQUEST = 1
const BOOTREPLY = 2
const ETHERNET = 1
const HARDWARE_BYTES = 6
const COOKIE = 0x63825363
/** The answer may be sent to everybody: we have no address yet. */
const BROADCAST_FLAG = 0x8000

export const DISCOVER = 1
export const OFFER = 2
export const REQUEST = 3
export const ACK = 5
export const NAK = 6

const OPTION = {
  pad: 0,
  netmask: 1,
  routers: 3,
  nameServers: 6,
  rootPath: 17,
  mtu: 26,
  requestedAddress: 50,
  type: 53,
  server: 54,
  parameters: 55,
  clientIdentifier: 61,
  end: 255,
} as const
const ASKED_FOR = [
  OPTION.netmask,
  OPTION.routers,
  OPTION.nameServers,
  OPTION.rootPath,
  OPTION.mtu,
] as const

/** What a client says. */
export interface Question {
  readonly type: typeof DISCOVER | typeof REQUEST
  readonly transaction: number
  /** Six bytes. */
  readonly hardware: Uint8Array
  /** The offer that is taken up. */
  readonly offer?: Answer
}

/** What a server says, in its own words. */
export interface Answer {
  readonly type: number
  readonly transaction: number
  readonly server: Uint8Array
  readonly address: Uint8Array
  readonly lease: Address
  /** Where the server says the root is. */
  readonly rootPath?: string
  readonly mtu?: number
}

export function encodeQuestion({ type, transaction, hardware, offer }: Question): Uint8Array {
  const nothing = new Uint8Array(4)
  const head = HEAD.encode({
    op: BOOTREQUEST,
    htype: ETHERNET,
    hlen: HARDWARE_BYTES,
    hops: 0,
    xid: transaction,
    secs: 0,
    flags: BROADCAST_FLAG,
    ciaddr: nothing,
    yiaddr: nothing,
    siaddr: nothing,
    giaddr: nothing,
    chaddr: hardware,
    sname: new Uint8Array(64),
    file: new Uint8Array(128),
    cookie: COOKIE,
  })
  const options: (readonly [code: number, value: ArrayLike<number>])[] = [
    [OPTION.type, [type]],
    [OPTION.clientIdentifier, [ETHERNET, ...hardware]],
    [OPTION.parameters, ASKED_FOR],
  ]
  if (offer !== undefined) {
    options.push([OPTION.requestedAddress, offer.address], [OPTION.server, offer.server])
  }
  const tail = options.flatMap(([code, value]) => [code, value.length, ...Array.from(value)])
  return Uint8Array.from([...head, ...tail, OPTION.end])
}

/** What a server answered to `hardware`, or undefined if it is anything else. */
export function decodeAnswer(message: Uint8Array, hardware: Uint8Array): Answer | undefined {
  if (message.length < HEAD.size) return undefined
  const { op, xid, yiaddr, chaddr, cookie } = HEAD.decode(message)
  if (op !== BOOTREPLY || cookie !== COOKIE) return undefined
  if (!hardware.every((byte, index) => chaddr[index] === byte)) return undefined
  const options = optionsIn(message.subarray(HEAD.size))
  const type = options.get(OPTION.type)?.[0]
  const server = options.get(OPTION.server)
  if (type === undefined || server?.length !== 4) return undefined
  const [router] = addressesIn(options.get(OPTION.routers))
  const [netmask = ''] = addressesIn(options.get(OPTION.netmask))
  const rootPath = textIn(options.get(OPTION.rootPath))
  const mtu = numberIn(options.get(OPTION.mtu))
  return {
    type,
    transaction: xid,
    server,
    address: yiaddr,
    lease: {
      address: yiaddr.join('.'),
      prefix: prefixOf(netmask) ?? classful(yiaddr[0]!),
      ...(router !== undefined && { gateway: router }),
      nameServers: addressesIn(options.get(OPTION.nameServers)),
    },
    ...(rootPath !== '' && { rootPath }),
    ...(mtu !== undefined && { mtu }),
  }
}

/** Each option's value; one that comes twice is one value in parts (RFC 3396). */
function optionsIn(tail: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>()
  for (let at = 0; at < tail.length && tail[at] !== OPTION.end;) {
    const code = tail[at]!
    if (code === OPTION.pad) {
      at++
      continue
    }
    const length = tail[at + 1]
    if (length === undefined || at + 2 + length > tail.length) break
    const value = tail.subarray(at + 2, at + 2 + length)
    options.set(code, Uint8Array.from([...(options.get(code) ?? []), ...value]))
    at += 2 + length
  }
  return options
}

function addressesIn(value: Uint8Array | undefined): string[] {
  const addresses: string[] = []
  for (let at = 0; value !== undefined && at + 4 <= value.length; at += 4) {
    addresses.push(value.subarray(at, at + 4).join('.'))
  }
  return addresses
}

/** Up to the first zero, which some servers send along. */
function textIn(value: Uint8Array | undefined): string {
  return Buffer.from(value ?? [])
    .toString('latin1')
    .replace(/\0[^]*$/, '')
}

/** The least that IPv4 allows is 68 (RFC 791). */
const LEAST_MTU = 68

function numberIn(value: Uint8Array | undefined): number | undefined {
  if (value?.length !== 2) return undefined
  const number = value[0]! * 256 + value[1]!
  return number >= LEAST_MTU ? number : undefined
}

/** What a netmask was before there were any (RFC 791, section 3.2). */
function classful(first: number): number {
  if (first < 128) return 8
  return first < 192 ? 16 : 24
}
