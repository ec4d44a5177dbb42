import { struct, u32host, u8 } from '../binary/struct.ts'
import { type Attribute, decodeAttributes, encodeAttributes } from './netlink.ts'
import { NetlinkSocket } from './netlink-socket.ts'

/** Addresses of interfaces and how long they live: linux/if_addr.h, linux/rtnetlink.h. */

const NETLINK_ROUTE = 0
const RTM_NEWADDR = 20
const RTM_GETADDR = 22
const NLM_F_REPLACE = 0x100
const NLM_F_DUMP = 0x300
const RT_SCOPE_LINK = 253

/** struct ifaddrmsg, and struct ifa_cacheinfo. */
const AddressHeader = struct({ family: u8, prefix: u8, flags: u8, scope: u8, index: u32host })
const Lifetimes = struct({ preferred: u32host, valid: u32host, created: u32host, updated: u32host })

const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_CACHEINFO = 6
const IFA_FLAGS = 8
/** What names an address, and what is to stay as it is. */
const KEPT: ReadonlySet<number> = new Set([IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS])
const FOR_EVER = 0xffff_ffff

/**
 * Makes the addresses of the interface with this number last that the kernel would take away when
 * their leases end, but for those that are of the link itself. Returns how many seconds each had
 * left. Throws `KernelRefused`.
 */
export function makeAddressesLast(index: number): number[] {
  using socket = new NetlinkSocket(NETLINK_ROUTE)
  const all = AddressHeader.encode({ family: 0, prefix: 0, flags: 0, scope: 0, index: 0 })
  const left: number[] = []
  for (const { type, payload } of socket.request(RTM_GETADDR, all, NLM_F_DUMP)) {
    if (type !== RTM_NEWADDR) continue
    const header = AddressHeader.decode(payload)
    const attributes = decodeAttributes(payload.subarray(AddressHeader.size))
    const validSeconds = lifetimeOf(attributes)
    if (header.index !== index || header.scope === RT_SCOPE_LINK || validSeconds === FOR_EVER)
      continue
    const lasting = Lifetimes.encode({
      preferred: FOR_EVER,
      valid: FOR_EVER,
      created: 0,
      updated: 0,
    })
    const changed = [
      ...attributes.filter(({ type: kind }) => KEPT.has(kind)),
      { type: IFA_CACHEINFO, payload: lasting },
    ]
    const message = Buffer.concat([AddressHeader.encode(header), encodeAttributes(changed)])
    socket.request(RTM_NEWADDR, message, NLM_F_REPLACE)
    left.push(validSeconds)
  }
  return left
}

function lifetimeOf(attributes: readonly Attribute[]): number {
  const info = attributes.find(({ type }) => type === IFA_CACHEINFO)
  return info === undefined ? FOR_EVER : Lifetimes.decode(info.payload).valid
}
