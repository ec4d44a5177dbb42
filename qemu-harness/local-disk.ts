import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { step } from './progress.ts'
import { mediumTree } from './tree.ts'

/** A local disk that is one file system, with the image as a file in it. */

/** What scenarios name on the kernel command line. */
export const DISK_LABEL = 'NETCOW'
export const FILE_PATH = '/root.qcow2'

/** Each makes a file system in ./disk and copies ./image into it, without mounting it. */
const FORMATS = {
  vfat: `mkfs.vfat -n ${DISK_LABEL} disk && mcopy -i disk image ::${FILE_PATH}`,
  ntfs: `mkntfs --force --quick --label ${DISK_LABEL} disk && ntfscp --force disk image ${FILE_PATH}`,
} as const
export type DiskFormat = keyof typeof FORMATS

/** Room for the image and what the file system needs itself. */
const MAKE = (format: DiskFormat) => `
set -eu
tree=$1 directory=$2
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount --bind "$directory" "$tree/mnt"
size=$(stat -c %s "$directory/image")
truncate -s $((size + (64 << 20))) "$directory/disk"
chroot "$tree" sh -euc 'cd /mnt && ${FORMATS[format]}'
`

/** @param image the file, of an entry of the cache */
export async function localDisk(cache: Cache, format: DiskFormat, image: string): Promise<string> {
  const tree = await mediumTree(cache)
  const script = MAKE(format)
  const name = `local-disk-${format}`
  const inputs = { tree: basename(tree), image: basename(dirname(image)), script }
  const entry = await cache.entry(name, inputs, (directory) =>
    step(`Disk ${name}`, async () => {
      await runAsRoot(['install', '-D', '-m', '644', image, join(directory, 'image')])
      const unshare = ['unshare', '--mount', 'sh', '-c', script, 'sh']
      await runAsRoot([...unshare, tree, directory])
      await rm(join(directory, 'image'))
    }),
  )
  return join(entry, 'disk')
}
