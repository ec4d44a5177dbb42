import { KernelRefused } from '../errors.ts'
import { isConnected, users } from '../kernel/block-sysfs.ts'
import { disconnect } from '../kernel/nbd-device.ts'

/** Throws `KernelRefused` while anybody uses the device: a root is never pulled from under them. */
export function detachDevice(index: number): void {
  const where = { device: `/dev/nbd${index}` }
  if (!isConnected(index)) throw new KernelRefused('the device is not attached', { where })
  const [user] = users(index)
  if (user !== undefined) {
    throw new KernelRefused(`the device is in use: ${user}`, { where, advice: 'unmount it first' })
  }
  disconnect(index)
}
