import { setTimeout as sleep } from 'node:timers/promises'
import { DeviceLost, KernelRefused } from '../errors.ts'
import { closeDescriptor, socketCalls, socketPair } from '../kernel/ffi.ts'
import { connect, isNotConnected, reconnect } from '../kernel/nbd-device.ts'
import { UNBOUNDED } from '../nbd/allowance.ts'
import { type Export, plainSession, transmissionFlags } from '../nbd/export.ts'
import { LendingSocket } from '../nbd/lending-socket.ts'
import { transmit } from '../nbd/transmission.ts'

/**
 * Serves an export to the kernel, as a block device.
 *
 * Over one socket. With several, the kernel takes a socket for dead when a request has not been
 * answered in the device's timeout, and it asks again for what was under way on a dead socket only
 * after that same time: a timeout that outlasts an outage would make the next daemon of a device
 * wait as long. With one socket and no timeout (Linux 5.7 and later) an outage changes nothing, and
 * what was under way is asked for again within 30 s of a reconnection. Nor do receivers of several
 * sockets wait for each other's thread.
 */

/** The kernel takes a moment to notice that a socket is dead. */
const RECONNECT_PAUSE_MS = 100
/** A socket that is still in use after this long belongs to a daemon that lives. */
const TAKE_OVER_MS = 10_000

/** Where the client says what it met. */
export interface Diary {
  failed(error: unknown): void
  noted(line: string): void
}

export class KernelClient {
  /** The N of /dev/nbdN. */
  readonly index: number
  /** Resolves when the device has been taken apart. */
  readonly over: Promise<void>
  readonly #served: Export
  readonly #diary: Diary

  private constructor(index: number, served: Export, diary: Diary, ours: LendingSocket) {
    this.index = index
    this.#served = served
    this.#diary = diary
    this.over = this.#serve(ours)
  }

  /** Makes a device: `index`, or the next free one. Throws `KernelRefused`. */
  static attach(
    served: Export,
    blockBytes: number,
    index: number | undefined,
    diary: Diary,
  ): KernelClient {
    const { ours, value } = withSocket((socket) =>
      connect({
        ...(index === undefined ? {} : { index }),
        sizeBytes: served.source.size,
        blockBytes,
        serverFlags: transmissionFlags(plainSession(served)),
        socket,
      }),
    )
    return new KernelClient(value, served, diary, ours)
  }

  /** Takes over a device whose daemon is dead. Throws `DeviceLost`, or `KernelRefused` if that is not yet so. */
  static async resume(served: Export, index: number, diary: Diary): Promise<KernelClient> {
    const since = performance.now()
    for (;;) {
      try {
        const { ours } = withSocket((socket) => reconnect(index, socket))
        return new KernelClient(index, served, diary, ours)
      } catch (error) {
        if (!(error instanceof KernelRefused)) throw error
        const failure = { where: { device: `/dev/nbd${index}` }, cause: error }
        if (isNotConnected(error)) throw new DeviceLost('the device was taken apart', failure)
        if (performance.now() - since > TAKE_OVER_MS) {
          throw new KernelRefused('the device is still served by another process', failure)
        }
      }
      await sleep(RECONNECT_PAUSE_MS)
    }
  }

  async #serve(first: LendingSocket): Promise<void> {
    for (let ours: LendingSocket | undefined = first; ours !== undefined;) {
      const parting = await this.#transmit(ours)
      if (parting === 'said') return
      this.#diary.noted(`the kernel closed the connection of /dev/nbd${this.index}`)
      ours = await this.#reconnected()
    }
  }

  async #transmit(ours: LendingSocket): Promise<'said' | 'vanished'> {
    // The kernel shuts both directions at once (nbd_mark_nsock_dead): nothing can be answered.
    ours.once('end', () => ours.destroy())
    try {
      const report = (error: unknown) => this.#diary.failed(error)
      return await transmit(ours, plainSession(this.#served), {
        bounds: UNBOUNDED,
        report,
        leavesReads: true,
      })
    } catch (error) {
      this.#diary.failed(error)
      return 'vanished'
    } finally {
      ours.destroy()
    }
  }

  /** A new connection, or undefined if the device is no more. */
  async #reconnected(): Promise<LendingSocket | undefined> {
    for (;;) {
      try {
        return withSocket((socket) => reconnect(this.index, socket)).ours
      } catch (error) {
        if (isNotConnected(error)) return undefined
      }
      await sleep(RECONNECT_PAUSE_MS)
    }
  }
}

/** Gives one end of a socket pair to the kernel, and returns the other. */
function withSocket<T>(give: (theirs: number) => T): { ours: LendingSocket; value: T } {
  const [mine, theirs] = socketPair()
  let given = false
  try {
    const value = give(theirs)
    given = true
    return { ours: LendingSocket.overDescriptor(mine, socketCalls), value }
  } finally {
    closeDescriptor(theirs)
    if (!given) closeDescriptor(mine)
  }
}
