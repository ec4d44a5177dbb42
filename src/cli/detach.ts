import { KernelRefused } from '../errors.ts'
import { isClaimed, isConnected, users } from '../kernel/block-sysfs.ts'
import { limitDirtyPagesOf } from '../kernel/dirty-pages.ts'
import { ended } from '../kernel/lifetime.ts'
import { disconnect } from '../kernel/nbd-device.ts'
import { attachedDevices, readFacts, removeRunFiles } from './run-files.ts'

/** An overlay on a disk may have much to write. */
const DAEMON_ENDS_MS = 30_000

/**
 * Takes a device apart, and waits for its daemon: what it wrote to is then complete, and free for
 * the next one. Throws `KernelRefused` while anybody uses the device: a root is never pulled from
 * under them.
 */
export async function detachDevice(index: number): Promise<void> {
  const where = { device: `/dev/nbd${index}` }
  const isOurs = attachedDevices().includes(index)
  if (!isConnected(index)) {
    // What somebody else took apart when its daemon was dead is only to be forgotten.
    if (isOurs) return removeRunFiles(index)
    throw new KernelRefused('the device is not attached', { where })
  }
  const [user = (await isClaimed(index)) ? 'mounted elsewhere' : undefined] = users(index)
  if (user !== undefined) {
    throw new KernelRefused(`the device is in use: ${user}`, { where, advice: 'unmount it first' })
  }
  const daemon = isOurs ? readFacts(index).pid : undefined
  disconnect(index)
  // A daemon that lives does it, too, a moment later.
  removeRunFiles(index)
  // The device stays, and may be somebody else's next.
  await limitDirtyPagesOf(index, undefined)
  if (daemon !== undefined) await ended(daemon, DAEMON_ENDS_MS)
}
