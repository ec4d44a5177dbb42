import { dlopen, getInt32, getRawPointer } from 'node:ffi'
import { getSystemErrorMap } from 'node:util'
import { KernelRefused } from '../errors.ts'

/**
 * The few calls of libc that Node does not offer; the only file that uses node:ffi.
 * All of them are synchronous and none of them may block for long.
 */

const LIBC = 'libc.so.6'

function bind() {
  const { functions } = dlopen(LIBC, {
    __errno_location: { return: 'pointer', arguments: [] },
    socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
    socketpair: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer'] },
    setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'] },
    getsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'] },
    send: { return: 'int64', arguments: ['int32', 'buffer', 'uint64', 'int32'] },
    sendfile: { return: 'int64', arguments: ['int32', 'int32', 'pointer', 'uint64'] },
    recv: { return: 'int64', arguments: ['int32', 'buffer', 'uint64', 'int32'] },
    mmap: {
      return: 'pointer',
      arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'],
    },
    munmap: { return: 'int32', arguments: ['pointer', 'uint64'] },
    flock: { return: 'int32', arguments: ['int32', 'int32'] },
    unshare: { return: 'int32', arguments: ['int32'] },
    setns: { return: 'int32', arguments: ['int32', 'int32'] },
    chroot: { return: 'int32', arguments: ['buffer'] },
    close: { return: 'int32', arguments: ['int32'] },
    mount: { return: 'int32', arguments: ['buffer', 'buffer', 'buffer', 'uint64', 'buffer'] },
    umount2: { return: 'int32', arguments: ['buffer', 'int32'] },
    sync: { return: 'void', arguments: [] },
    reboot: { return: 'int32', arguments: ['uint32'] },
    prctl: { return: 'int32', arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'] },
  })
  /** Of this thread, and it stays where it is; read at once after a call that failed. */
  return { ...functions, errnoAt: functions.__errno_location() }
}

let bound: ReturnType<typeof bind> | undefined
/** To bind them takes as long as to read some megabytes, and who only reads needs none of them. */
const libc = () => (bound ??= bind())

/** Of every local read, so they are bound by themselves. */
const { preadv2, lseek, mincore } = dlopen(LIBC, {
  mincore: { return: 'int32', arguments: ['pointer', 'uint64', 'pointer'] },
  lseek: { return: 'int64', arguments: ['int32', 'int64', 'int32'] },
  preadv2: { return: 'int32', arguments: ['int32', 'pointer', 'int32', 'int64', 'int32'] },
}).functions

const EINTR = 4
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const SOCK_STREAM = 1
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_TYPE = 3
const SO_SNDBUF = 7
const SO_RCVTIMEO = 20
const SO_ACCEPTCONN = 30
const SO_DOMAIN = 39
const RWF_NOWAIT = 8
/** MSG_DONTWAIT, and no signal where nobody reads any more (MSG_NOSIGNAL). */
const AT_ONCE = 0x40 | 0x4000

/** A failed call of the kernel as an error with the name of its errno. */
export function refusal(call: string, errno: number): KernelRefused {
  const [name, meaning] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error']
  return new KernelRefused(`${call}: ${meaning} (${name})`, { where: { errno } })
}

function checked(call: string, result: number | bigint): number {
  if (result < 0) throw refusal(call, getInt32(libc().errnoAt))
  return Number(result)
}

/** A connected pair of stream sockets; the descriptors are the caller's to close. */
export function socketPair(): readonly [number, number] {
  const pair = Buffer.alloc(8)
  checked('socketpair', libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** A netlink socket whose answers are waited for at most `timeoutSeconds`. */
export function netlinkSocket(protocol: number, timeoutSeconds: number): number {
  const fd = checked('socket', libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol))
  const timeval = Buffer.alloc(16)
  timeval.writeBigInt64LE(BigInt(timeoutSeconds))
  checked('setsockopt', libc().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval, timeval.length))
  return fd
}

export function send(fd: number, message: Uint8Array): void {
  checked('send', libc().send(fd, message, BigInt(message.length), 0))
}

/** Waits for one message; `room` is as long as the longest that is understood. */
export function receive(fd: number, room: number): Uint8Array {
  const { recv, errnoAt } = libc()
  const buffer = Buffer.alloc(room)
  for (;;) {
    const length = recv(fd, buffer, BigInt(room), 0)
    // A signal, even one that stops and continues us, ends a wait that has a limit (signal(7)).
    if (length < 0 && getInt32(errnoAt) === EINTR) continue
    return buffer.subarray(0, checked('recv', length))
  }
}

/** What the kernel takes at once of `bytes`, on a socket; 0 if none, for whatever reason. */
function sendNow(fd: number, bytes: Uint8Array): number {
  return Math.max(0, Number(libc().send(fd, bytes, BigInt(bytes.length), AT_ONCE)))
}

const fileOffset = new BigInt64Array(1)
const fileOffsetAt = getRawPointer(fileOffset)

/**
 * Sends what the socket takes at once of `length` bytes at `offset` of a file, and returns how many
 * bytes that were; 0 if none, for whatever reason. The pages are not copied; where memory does not
 * hold them the disk is waited for (sendfile(2)).
 */
function sendFile(fd: number, file: number, offset: number, length: number): number {
  fileOffset[0] = BigInt(offset)
  return Math.max(0, Number(libc().sendfile(fd, file, fileOffsetAt, BigInt(length))))
}

/**
 * Lets a Unix socket hold `bytes` that the other end has not taken (SO_SNDBUF), as far as
 * net.core.wmem_max allows. Other sockets find out by themselves how much is good for them.
 */
function widen(fd: number, bytes: number): void {
  if (optionOf(fd, SO_DOMAIN) === AF_UNIX)
    libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, intOf(bytes), 4)
}

/** Whether bytes can come and go over a descriptor: a stream socket that does not listen. */
export function isStreamSocket(fd: number): boolean {
  const domain = optionOf(fd, SO_DOMAIN)
  const isKnown = domain === AF_UNIX || domain === AF_INET || domain === AF_INET6
  return isKnown && optionOf(fd, SO_TYPE) === SOCK_STREAM && optionOf(fd, SO_ACCEPTCONN) === 0
}

/** An option of a socket; -1 where there is none. */
function optionOf(fd: number, option: number): number {
  const [value, length] = [intOf(-1), intOf(4)]
  libc().getsockopt(fd, SOL_SOCKET, option, value, length)
  return value.readInt32LE()
}

function intOf(value: number): Buffer {
  const int = Buffer.alloc(4)
  int.writeInt32LE(value)
  return int
}

/** What is done to the sockets of NBD clients past Node. */
export const socketCalls = { sendNow, sendFile, widen }

export function closeDescriptor(fd: number): void {
  checked('close', libc().close(fd))
}

export function prctl(option: number, value: number): void {
  checked('prctl', libc().prctl(option, BigInt(value), 0n, 0n, 0n))
}

/** One struct iovec, used again for every call. */
const vector = new BigUint64Array(2)
const vectorAt = getRawPointer(vector)

/**
 * Reads what the page cache holds of a file from `offset` on, without waiting for a disk, and
 * returns how many bytes that were: 0 where nothing is there, or the file system has no such reads.
 * `target` has at most 2 GiB.
 */
export function readCached(fd: number, target: Uint8Array, offset: number): number {
  vector[0] = getRawPointer(target)
  vector[1] = BigInt(target.length)
  return Math.max(0, preadv2(fd, vectorAt, 1, BigInt(offset), RWF_NOWAIT))
}

const MAP_SHARED = 1
const PAGE_BYTES = 4096
/** What is asked about at once, in pages. */
const MOST_PAGES = 64
const pages = new Uint8Array(new ArrayBuffer(MOST_PAGES))
const pagesAt = getRawPointer(pages)

/** A file in the address space, where nobody ever looks at it; 0 where that is not to be had. */
export function mapFile(fd: number, size: number): bigint {
  const address = libc().mmap(0n, BigInt(size), 0, MAP_SHARED, fd, 0n)
  return BigInt.asIntN(64, address) === -1n ? 0n : address
}

/**
 * Whether memory has every byte of a range of a mapped file, so that nobody who reads it waits for a
 * disk (mincore(2)). False also where nobody says: beyond 256 KiB, and with larger pages. Of a file that
 * this process neither owns nor may write the kernel says that it has all.
 */
export function holds(mapping: bigint, offset: number, length: number): boolean {
  const first = Math.floor(offset / PAGE_BYTES)
  const count = Math.ceil((offset + length) / PAGE_BYTES) - first
  if (count > MOST_PAGES) return false
  pages.fill(0, 0, count)
  const from = mapping + BigInt(first * PAGE_BYTES)
  if (mincore(from, BigInt(count * PAGE_BYTES), pagesAt) !== 0) return false
  for (let page = 0; page < count; page++) if ((pages[page]! & 1) === 0) return false
  return true
}

export function unmapFile(mapping: bigint, size: number): void {
  checked('munmap', libc().munmap(mapping, BigInt(size)))
}

const SEEK = { data: 3, hole: 4 } as const

/**
 * Where from `offset` on, which lies within the file, the next byte is that the file has, or has not
 * (lseek(2)); negative where there is none, or where that cannot be told. Moves the position of the
 * descriptor.
 */
export function seek(fd: number, offset: number, what: 'data' | 'hole'): number {
  return Number(lseek(fd, BigInt(offset), SEEK[what]))
}

/** mount(2); waits for as long as the file system takes. */
export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  options: string,
): void {
  const [from, to, kind, words] = [source, target, type, options].map(cString)
  const result = libc().mount(from!, to!, kind!, BigInt(flags), words!)
  checked(`mount ${source} on ${target}`, result)
}

/** umount2(2); waits until everything is written. */
export function unmount(target: string, flags: number): void {
  checked(`unmount ${target}`, libc().umount2(cString(target), flags))
}

/** sync(2): returns when everything that was written anywhere is where it belongs. */
export function syncAll(): void {
  libc().sync()
}

/** reboot(2): at once, whatever is mounted or runs. */
export function reboot(command: number): void {
  checked('reboot', libc().reboot(command))
}

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

const LOCK_EX = 2
const LOCK_NB = 4

/** Takes an open file for this process alone, until it is closed; throws if another has it. */
export function lockFile(fd: number): void {
  checked('flock', libc().flock(fd, LOCK_EX | LOCK_NB))
}

const CLONE_NEWNS = 0x20000

/** Gives this thread a copy of all mounts (unshare(2)). */
export function leaveMountNamespace(): void {
  checked('unshare', libc().unshare(CLONE_NEWNS))
}

/** Takes this thread to the mounts that an open file of /proc/PID/ns/mnt stands for (setns(2)). */
export function joinNamespace(fd: number): void {
  checked('setns', libc().setns(fd, CLONE_NEWNS))
}

/** Of this thread, if it does not share its root directory with others. */
export function chroot(directory: string): void {
  checked(`chroot ${directory}`, libc().chroot(cString(directory)))
}
