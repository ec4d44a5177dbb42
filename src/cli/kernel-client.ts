import assert from 'node:assert/strict'
import { closeDescriptor, socketPair } from '../kernel/ffi.ts'
import { connect, disconnect, resize } from '../kernel/nbd-device.ts'
import { receiversRun } from '../kernel/nbd-receivers.ts'
import { type Export, plainSession, transmissionFlags } from '../nbd/export.ts'
import { LendingSocket } from '../nbd/lending-socket.ts'
import { transmit } from '../nbd/transmission.ts'

/** Serves an export to the kernel, as a block device. */

/**
 * With one socket a dying connection fails a request; with two the kernel asks again on the other.
 * One socket is what is left when the kernel will not read from two.
 */
const SOCKETS = [2, 2, 2, 1] as const
/** Shown in sysfs, and how a device is known to be ours. */
const BACKEND = 'netcow'
/** The kernel bounds what it has under way by its queue, and must never be kept waiting. */
const UNBOUNDED = { mostRequests: Infinity, mostBytes: Infinity } as const

/** Where the client says what it met. */
export interface Diary {
  failed(error: unknown): void
  noted(line: string): void
}

export interface KernelClient {
  /** The N of /dev/nbdN. */
  readonly index: number
  /** Resolves when the kernel has let go of all sockets. */
  readonly over: Promise<unknown>
}

/** Makes the device, and gives it its size only when the kernel is known to read our answers. */
export async function attachToKernel(
  served: Export,
  blockBytes: number,
  index: number | undefined,
  diary: Diary,
): Promise<KernelClient> {
  const size = { sizeBytes: served.source.size, blockBytes, backend: BACKEND }
  for (const [attempt, sockets] of SOCKETS.entries()) {
    const client = connectSockets(served, blockBytes, index, sockets, diary)
    if (sockets === 1 || (await receiversRun(client.index, sockets))) {
      resize(client.index, size)
      return client
    }
    diary.noted(`the kernel does not read from both sockets, attempt ${attempt + 1}; once more`)
    disconnect(client.index)
    await client.over
  }
  assert.fail('the last attempt has one socket')
}

function connectSockets(
  served: Export,
  blockBytes: number,
  index: number | undefined,
  sockets: number,
  diary: Diary,
): KernelClient {
  const pairs = Array.from({ length: sockets }, () => socketPair())
  const over = Promise.allSettled(
    pairs.map(([ours]) => {
      const socket = LendingSocket.overDescriptor(ours)
      return transmit(socket, plainSession(served), {
        ...UNBOUNDED,
        report: (error) => diary.failed(error),
      }).finally(() => socket.destroy())
    }),
  )
  try {
    const given = connect({
      ...(index === undefined ? {} : { index }),
      blockBytes,
      serverFlags: transmissionFlags(plainSession(served)),
      sockets: pairs.map(([, theirs]) => theirs),
      backend: BACKEND,
    })
    return { index: given, over }
  } finally {
    for (const [, theirs] of pairs) closeDescriptor(theirs)
  }
}
