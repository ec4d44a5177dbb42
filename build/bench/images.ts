import { mkdir, open, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cache } from '../../qemu-harness/cache.ts'
import { run } from '../../qemu-harness/command.ts'
import { debianImage } from '../../qemu-harness/image.ts'
import { step } from '../../qemu-harness/progress.ts'

export const DISK_BYTES = 2 ** 30
const BLOCK_BYTES = 64 * 1024
/** QCOW2 of each kind, by what makes qemu-img write it. */
export const KINDS = {
  plain: [],
  zlib: ['-c', '-o', 'compression_type=zlib'],
  zstd: ['-c', '-o', 'compression_type=zstd'],
} as const

/**
 * A folder with the images of two disks of 1 GiB, DISK-KIND.qcow2 and, of the dense one, dense.raw.
 * `sparse` is the root file system that guests boot, an eighth full; `dense` is what it holds, over
 * and over.
 */
export async function images(cache: Cache): Promise<string> {
  const { path } = await debianImage(cache, {
    suite: 'trixie',
    layout: 'filesystem',
    compression: 'zstd',
  })
  const inputs = { path: basename(join(path, '..')), KINDS, BLOCK_BYTES, version: 2 }
  return cache.entry('bench', inputs, (directory) =>
    step('Images to measure with', async () => {
      await mkdir(directory)
      const [sparse, dense] = [join(directory, 'sparse.raw'), join(directory, 'dense.raw')]
      await run(['qemu-img', 'convert', '-O', 'raw', path, sparse])
      await repeat(sparse, dense)
      for (const disk of ['sparse', 'dense']) {
        for (const [kind, options] of Object.entries(KINDS)) {
          const made = join(directory, `${disk}-${kind}.qcow2`)
          const raw = join(directory, `${disk}.raw`)
          await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, made])
        }
      }
      await rm(sparse)
    }),
  )
}

/** Fills a disk with the blocks of another one that are not empty. */
async function repeat(from: string, to: string): Promise<void> {
  await using source = await open(from)
  await using target = await open(to, 'w')
  const block = Buffer.alloc(BLOCK_BYTES)
  const empty = Buffer.alloc(BLOCK_BYTES)
  for (let at = 0, written = 0; written < DISK_BYTES; at = (at + BLOCK_BYTES) % DISK_BYTES) {
    await source.read(block, 0, BLOCK_BYTES, at)
    if (block.equals(empty)) continue
    await target.write(block, 0, BLOCK_BYTES, written)
    written += BLOCK_BYTES
  }
}
