import { KernelRefused } from '../errors.ts'
import { GenericNetlink } from './generic-netlink.ts'
import {
  type Attribute,
  attributeNest,
  attributeString,
  attributeU32,
  attributeU64,
  valueU32,
} from './netlink.ts'

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

/** None: the kernel says of requests that take long that they do, and goes on waiting. */
const TIMEOUT_S = 0
/**
 * How long requests are kept for a daemon that died before the device gives up, in seconds: a hundred
 * years. 0 would lose the device at once, and the next daemon may have to wait for its server. The
 * kernel multiplies it by HZ, at most 1000, and takes it for a signed long (wait_for_reconnect of nbd.c);
 * a timer that is further away than its wheel reaches goes off sooner, and is set again.
 */
const DEAD_CONN_TIMEOUT_S = 100 * 365 * 86_400
/** Shown in /sys/block/nbdN/backend, and asked for when the device is reconnected. */
const BACKEND = 'netcow'

/** Of the errors of RECONFIGURE, the one that says that there is no such device any more. */
const EINVAL = 22

export interface Connection {
  /** The N of /dev/nbdN; absent, the kernel picks a free one. */
  readonly index?: number
  readonly sizeBytes: number
  /** The logical block size: 512 unless the image was made for other sectors. */
  readonly blockBytes: number
  /** Transmission flags of the NBD protocol. */
  readonly serverFlags: number
  /** Our side's peer: the descriptor of a connected stream socket. */
  readonly socket: number
}

function openFamily(): GenericNetlink {
  return GenericNetlink.open('nbd', 1)
}

/** Makes a block device and returns its index. Throws `KernelRefused`. */
export function connect(connection: Connection): number {
  using family = openFamily()
  const { index } = connection
  const answer = family.request(CONNECT, [
    ...(index === undefined ? [] : [attributeU32(Attr.index, index)]),
    attributeU64(Attr.sizeBytes, connection.sizeBytes),
    attributeU64(Attr.blockSizeBytes, connection.blockBytes),
    attributeU64(Attr.timeout, TIMEOUT_S),
    attributeU64(Attr.serverFlags, connection.serverFlags),
    attributeU64(Attr.deadConnTimeout, DEAD_CONN_TIMEOUT_S),
    attributeString(Attr.backendIdentifier, BACKEND),
    sockets(connection.socket),
  ])
  const given = answer.find(({ type }) => type === Attr.index)
  if (given === undefined) throw new KernelRefused('the kernel does not say which device it made')
  return valueU32(given)
}

/**
 * Replaces the dead socket of a device; what was under way is asked for again. Throws
 * `KernelRefused` while the old socket is not dead, and when there is no such device.
 */
export function reconnect(index: number, socket: number): void {
  using family = openFamily()
  family.request(RECONFIGURE, [
    attributeU32(Attr.index, index),
    attributeString(Attr.backendIdentifier, BACKEND),
    sockets(socket),
  ])
}

/** Whether `reconnect` failed because the device is no more, or was never ours. */
export function isNotConnected(error: unknown): boolean {
  return error instanceof KernelRefused && error.where['errno'] === EINVAL
}

function sockets(socket: number): Attribute {
  return attributeNest(Attr.sockets, [attributeNest(SOCK_ITEM, [attributeU32(SOCK_FD, socket)])])
}

/** Takes the device apart; requests under way are answered first. Throws `KernelRefused`. */
export function disconnect(index: number): void {
  using family = openFamily()
  family.request(DISCONNECT, [attributeU32(Attr.index, index)])
}
