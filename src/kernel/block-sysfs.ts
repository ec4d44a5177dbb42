import { constants, existsSync, readFileSync, readdirSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { pointsIn } from './mounts.ts'

/**
 * What the kernel tells of nbd devices in sysfs, and what may be set there. Whatever may wait for a
 * request of the device is asynchronous: the process that answers it must not wait for itself.
 */

/**
 * What is set of a queue, as file and value. No scheduler, since order means nothing to us;
 * read-ahead that suits a network; and what bounds our memory, since nothing else does: the kernel
 * may have nr_requests x max_sectors_kb under way, here 16 MiB. A full overlay has to take all of that
 * before its file system can free anything (block/quota.ts).
 */
const QUEUE: readonly (readonly [file: string, value: string])[] = [
  ['scheduler', 'none'],
  ['nr_requests', '64'],
  ['max_sectors_kb', '256'],
  ['read_ahead_kb', '1024'],
]

export function isConnected(index: number): boolean {
  return existsSync(`/sys/block/nbd${index}/pid`)
}

export async function tuneQueue(index: number): Promise<void> {
  for (const [file, value] of QUEUE) await writeFile(`/sys/block/nbd${index}/queue/${file}`, value)
}

/** The first open after a connect makes the kernel read the partition table. */
export async function readPartitions(index: number): Promise<void> {
  const device = await open(`/dev/nbd${index}`)
  await device.close()
}

/** Lets udev look again: until now it held the device for empty. */
export async function announce(index: number): Promise<void> {
  for (const name of [`nbd${index}`, ...partitions(index)]) {
    await writeFile(`/sys/class/block/${name}/uevent`, 'change')
  }
}

/** The names of its partitions, such as nbd0p1, in the order of the kernel. */
export function partitions(index: number): string[] {
  return readdirSync(`/sys/block/nbd${index}`).filter((name) => name.startsWith(`nbd${index}p`))
}

/**
 * Whether the device or a partition of it is claimed, by a mount in whatever namespace, by swap or
 * by another device. Opening it as the only one is what mount does, too.
 */
export async function isClaimed(index: number): Promise<boolean> {
  try {
    const device = await open(`/dev/nbd${index}`, constants.O_RDONLY | constants.O_EXCL)
    await device.close()
    return false
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return true
    throw error
  }
}

/** Who uses the device or a partition of it: mount points, swap, or devices made on top of it. */
export function users(index: number): string[] {
  const names = [`nbd${index}`, ...partitions(index)]
  const mounts = mountPointsOf(index).map((point) => `mounted on ${point}`)
  const swaps = readFileSync('/proc/swaps', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s/)[0] ?? '')
    .filter((path) => names.includes(path.replace('/dev/', '')))
    .map((path) => `swap on ${path}`)
  const holders = names.flatMap((name) =>
    readdirSync(`/sys/class/block/${name}/holders`).map((holder) => `used by ${holder}`),
  )
  return [...mounts, ...swaps, ...holders]
}

/** Where the device or a partition of it is mounted, as this process or process 1 sees it, in order. */
export function mountPointsOf(index: number): string[] {
  const names = [`nbd${index}`, ...partitions(index)]
  const numbers = names.map((name) => readFileSync(`/sys/class/block/${name}/dev`, 'utf8').trim())
  const lines = ['self', '1']
    .flatMap((process) => readFileSync(`/proc/${process}/mountinfo`, 'utf8').split('\n'))
    .filter((line) => {
      const [, source = ''] = line.split(' - ')[1]?.split(' ') ?? []
      // btrfs has a number of its own, and is known by its source alone.
      return (
        numbers.includes(line.split(' ')[2] ?? '') ||
        names.some((name) => source === `/dev/${name}`)
      )
    })
  return pointsIn([...new Set(lines)].join('\n'))
}
