import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { DeviceNotOurs, KernelRefused } from '../errors.ts'
import { lockFile } from '../kernel/ffi.ts'
import { RUN_DIRECTORY } from './run-files.ts'

/**
 * A device has one daemon: two would write to the same overlay. Each holds a lock on a file in /run, which
 * the kernel takes away when the process has ended, and never before: one that is stopped, or too busy
 * to answer, still holds it, and no process that was given its number later is taken for it.
 */

const EAGAIN = 11
/** One that is killed ends when its memory has been freed. */
const ENDS_MS = 5000
const PAUSE_MS = 20

/** Makes this process the daemon of a device that is new. Throws `DeviceNotOurs`. */
export function holdDevice(index: number): Promise<void> {
  return hold(index, constants.O_RDWR | constants.O_CREAT)
}

/** Makes it the next daemon of one. Throws `DeviceNotOurs` while the one before it lives. */
export async function inheritDevice(index: number): Promise<void> {
  try {
    await hold(index, constants.O_RDWR)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    throw new DeviceNotOurs('the device was not attached by netcow', {
      where: { device: `/dev/nbd${index}` },
      advice: 'see netcow list',
      cause: error,
    })
  }
}

/** The descriptor is never closed: it is the process that holds the lock. */
async function hold(index: number, flags: number): Promise<void> {
  const path = `${RUN_DIRECTORY}/nbd${index}.lock`
  for (let waitedMs = 0; waitedMs < ENDS_MS; waitedMs += PAUSE_MS) {
    const file = openSync(path, flags, 0o600)
    let isHeld = false
    try {
      // A detach may have removed the file meanwhile, and another device may have made a new one.
      isHeld = isLocked(file) && fstatSync(file).ino === statSync(path).ino
      if (isHeld) return
    } finally {
      if (!isHeld) closeSync(file)
    }
    await sleep(PAUSE_MS)
  }
  throw new DeviceNotOurs('the device is still served by another process', {
    where: { device: `/dev/nbd${index}` },
    advice:
      'see netcow list for its number: it may be stopped; if it never goes on, end it with kill -9',
  })
}

function isLocked(file: number): boolean {
  try {
    lockFile(file)
    return true
  } catch (error) {
    if (error instanceof KernelRefused && error.where['errno'] === EAGAIN) return false
    throw error
  }
}
