import { KernelRefused } from '../errors.ts'
import { GenericNetlink } from './generic-netlink.ts'
import { attributeNest, attributeString, attributeU32, attributeU64, valueU32 } from './netlink.ts'

/** Commands and attributes of linux/nbd-netlink.h. */
const CONNECT = 1
const DISCONNECT = 2
const RECONFIGURE = 3
const Attr = {
  index: 1,
  sizeBytes: 2,
  blockSizeBytes: 3,
  timeout: 4,
  serverFlags: 5,
  sockets: 7,
  deadConnTimeout: 8,
  backendIdentifier: 10,
} as const
const SOCK_ITEM = 1
const SOCK_FD = 1

/**
 * How long a request may take, in seconds. Without a limit the kernel takes a socket for dead after
 * 30 s if there is another one, and so both in an outage of a minute. Eleven days are as good as for
 * ever, and stay within the kernel's 32 bits of timer ticks.
 */
const TIMEOUT_S = 1_000_000
/**
 * How long requests are kept for a server that went away before the device gives up, in seconds.
 * 0 would lose the device at once; this leaves a day to bring the server back.
 */
const DEAD_CONN_TIMEOUT_S = 86_400

export interface Connection {
  /** The N of /dev/nbdN; absent, the kernel picks a free one. */
  readonly index?: number
  /** The logical block size: 512 unless the image was made for other sectors. */
  readonly blockBytes: number
  /** Transmission flags of the NBD protocol. */
  readonly serverFlags: number
  /** Our side's peers: descriptors of connected stream sockets. */
  readonly sockets: readonly number[]
  /** Shown in /sys/block/nbdN/backend, and asked for again when the device is reconnected. */
  readonly backend: string
}

function openFamily(): GenericNetlink {
  return GenericNetlink.open('nbd', 1)
}

/**
 * Connects a block device that is still empty, so that nobody asks it for anything; returns its
 * index. Throws `KernelRefused`.
 */
export function connect(connection: Connection): number {
  using family = openFamily()
  const { index } = connection
  const answer = family.request(CONNECT, [
    ...(index === undefined ? [] : [attributeU32(Attr.index, index)]),
    attributeU64(Attr.sizeBytes, 0),
    attributeU64(Attr.blockSizeBytes, connection.blockBytes),
    attributeU64(Attr.timeout, TIMEOUT_S),
    attributeU64(Attr.serverFlags, connection.serverFlags),
    attributeU64(Attr.deadConnTimeout, DEAD_CONN_TIMEOUT_S),
    attributeString(Attr.backendIdentifier, connection.backend),
    attributeNest(
      Attr.sockets,
      connection.sockets.map((fd) => attributeNest(SOCK_ITEM, [attributeU32(SOCK_FD, fd)])),
    ),
  ])
  const given = answer.find(({ type }) => type === Attr.index)
  if (given === undefined) throw new KernelRefused('the kernel does not say which device it made')
  return valueU32(given)
}

/** Gives a connected device its size; from now on it is used. Throws `KernelRefused`. */
export function resize(
  index: number,
  size: { readonly sizeBytes: number; readonly blockBytes: number; readonly backend: string },
): void {
  using family = openFamily()
  family.request(RECONFIGURE, [
    attributeU32(Attr.index, index),
    attributeU64(Attr.sizeBytes, size.sizeBytes),
    attributeU64(Attr.blockSizeBytes, size.blockBytes),
    attributeString(Attr.backendIdentifier, size.backend),
  ])
}

/** Takes the device apart; requests under way are answered first. Throws `KernelRefused`. */
export function disconnect(index: number): void {
  using family = openFamily()
  family.request(DISCONNECT, [attributeU32(Attr.index, index)])
}
