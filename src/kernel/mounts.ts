import { readFileSync } from 'node:fs'
import { KernelRefused } from '../errors.ts'
import { mount, unmount } from './ffi.ts'

/** Mounts, as mount(2) makes them and /proc/self/mountinfo lists them. */

const MS_RDONLY = 1
const MNT_DETACH = 2
const MS_NOSUID = 2
const MS_NODEV = 4
const MS_REMOUNT = 32
const MS_BIND = 4096
const MS_REC = 1 << 14
const MS_PRIVATE = 1 << 18
/** Of the errors of mount(2), the one that says that no file system is called so. */
const ENODEV = 19

/**
 * Shows a file or a directory, without what is mounted below it, in a second place. What is mounted
 * in one of the two later does not appear in the other.
 */
export function bindMount(source: string, target: string): void {
  mount(source, target, '', MS_BIND, '')
  mount('', target, '', MS_PRIVATE, '')
}

/** The same with everything that is mounted below it. */
export function bindTree(source: string, target: string): void {
  mount(source, target, '', MS_BIND | MS_REC, '')
  mount('', target, '', MS_PRIVATE | MS_REC, '')
}

/** An empty file system in memory. */
export function mountTmpfs(target: string, options: string): void {
  mount('netcow', target, 'tmpfs', MS_NOSUID | MS_NODEV, options)
}

/** A file system of a disk, whose driver the kernel loads by itself. Throws `KernelRefused`. */
export function mountReadOnly(device: string, target: string, type: string): void {
  mountDisk(device, target, type, MS_RDONLY)
}

/** The same to write to. */
export function mountWritable(device: string, target: string, type: string): void {
  mountDisk(device, target, type, 0)
}

/** A file system that is mounted read-only at `place`, to write to at `target`, and only there. */
export function shareWritable(place: string, target: string): void {
  mount('', place, '', MS_REMOUNT | MS_NOSUID | MS_NODEV, '')
  bindMount(place, target)
  mount('', place, '', MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, '')
}

function mountDisk(device: string, target: string, type: string, flags: number): void {
  try {
    mount(device, target, type, flags | MS_NOSUID | MS_NODEV, '')
  } catch (error) {
    if (!(error instanceof KernelRefused && error.where['errno'] === ENODEV)) throw error
    throw new KernelRefused(`the kernel has no driver for ${type}`, {
      where: { device },
      advice: 'put its module into the initramfs, or the file on another file system',
    })
  }
}

/** From now on no path leads to it; the file system ends with the last open file. */
export function unmountLazily(target: string): void {
  unmount(target, MNT_DETACH)
}

/** Throws `KernelRefused` while something writes to it. */
export function remountReadOnly(target: string): void {
  mount('', target, '', MS_REMOUNT | MS_RDONLY, '')
}

/** Throws `KernelRefused` while the file system is in use. */
export function unmountNow(target: string): void {
  unmount(target, 0)
}

/** Where something is mounted, in the order in which it was, as far as this process can see. */
export function mountPoints(): string[] {
  return pointsIn(readFileSync('/proc/self/mountinfo', 'utf8'))
}

/** The fifth field of each line of proc_pid_mountinfo(5), where odd characters are octal. */
export function pointsIn(mountinfo: string): string[] {
  const points = mountinfo.split('\n').map((line) => line.split(' ')[4])
  return points
    .filter((point) => point !== undefined)
    .map((point) => point.replace(/\\(\d{3})/g, (_, octal: string) => byte(octal)))
}

function byte(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8))
}
