import { KernelRefused } from '../errors.ts'
import { isClaimed, isConnected, users } from '../kernel/block-sysfs.ts'
import { limitDirtyPagesOf } from '../kernel/dirty-pages.ts'
import { disconnect } from '../kernel/nbd-device.ts'
import { attachedDevices, removeRunFiles } from './run-files.ts'

/** Throws `KernelRefused` while anybody uses the device: a root is never pulled from under them. */
export async function detachDevice(index: number): Promise<void> {
  const where = { device: `/dev/nbd${index}` }
  if (!isConnected(index)) {
    // What somebody else took apart when its daemon was dead is only to be forgotten.
    if (attachedDevices().includes(index)) return removeRunFiles(index)
    throw new KernelRefused('the device is not attached', { where })
  }
  const [user = (await isClaimed(index)) ? 'mounted elsewhere' : undefined] = users(index)
  if (user !== undefined) {
    throw new KernelRefused(`the device is in use: ${user}`, { where, advice: 'unmount it first' })
  }
  disconnect(index)
  // A daemon that lives does it, too, a moment later.
  removeRunFiles(index)
  // The device stays, and may be somebody else's next.
  await limitDirtyPagesOf(index, undefined)
}
