import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { images } from '../build/bench/images.ts'
import type { Cache } from './cache.ts'
import { run } from './command.ts'
import { step } from './progress.ts'

const DISK_BYTES = 650 * 2 ** 20
/** What makes qemu-img write them; clusters have 64 KiB. */
const KINDS = {
  plain: [],
  zlib: ['-c', '-o', 'compression_type=zlib'],
} as const

/** QCOW2 files of one full disk, plain and compressed, for a guest that compares servers on them. */
export async function comparedImages(cache: Cache): Promise<readonly string[]> {
  const dense = await images(cache)
  const inputs = { dense: basename(dense), DISK_BYTES, KINDS, version: 1 }
  const entry = await cache.entry('compared-images', inputs, (directory) =>
    step('QCOW2 images to compare servers on', async () => {
      await mkdir(directory)
      const raw = `driver=raw,size=${DISK_BYTES},file.filename=${join(dense, 'dense.raw')}`
      for (const [kind, options] of Object.entries(KINDS)) {
        const made = join(directory, `${kind}.qcow2`)
        await run(['qemu-img', 'convert', '--image-opts', '-O', 'qcow2', ...options, raw, made])
      }
    }),
  )
  return Object.keys(KINDS).map((kind) => join(entry, `${kind}.qcow2`))
}
