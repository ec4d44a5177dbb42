import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { KernelRefused } from '../errors.ts'

/** kmod's modprobe by its path: busybox ash would rather run an applet that knows no xz. */
const MODPROBES = ['/usr/bin/modprobe', '/usr/sbin/modprobe', '/sbin/modprobe', '/bin/modprobe']

/**
 * Loads the nbd driver with these parameters, unless it is there already.
 * Throws `KernelRefused` with modprobe's own words.
 */
export async function loadNbd(parameters: readonly string[]): Promise<void> {
  if (existsSync('/sys/module/nbd')) return
  const modprobe = MODPROBES.find((path) => existsSync(path))
  const advice = 'install the kernel module nbd, or put it into the initramfs'
  if (modprobe === undefined) {
    throw new KernelRefused('the nbd driver is not loaded and there is no modprobe', { advice })
  }
  try {
    await promisify(execFile)(modprobe, ['nbd', ...parameters])
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : ''
    throw new KernelRefused(`the nbd driver cannot be loaded: ${said}`, { advice, cause })
  }
}
