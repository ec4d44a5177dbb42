import { totalmem } from 'node:os'
import type { Options } from './options.ts'

/**
 * How much V8 may take for objects in a daemon. Unless it is told, that is a share of what the
 * machine has: gigabytes that nobody granted. What is kept of an image and what is written to it lies
 * outside of that heap, in buffers that the options bound, but each buffer has an object that stands
 * for it, and so the heap is bounded by the options, too.
 *
 * The limit is for what must not happen, and far from what does: V8 ends the process at it.
 */

/** The program, its libraries, and what is under way: three times what was ever seen. */
const PROGRAM_BYTES = 96 * 2 ** 20
/** Of the cache: entries of a few hundred bytes, for clusters that may have 512. */
const CACHE_SHARE = 1 / 2
/**
 * Of a memory overlay, which may be resized to all that the machine has: a kilobyte, at most, for
 * 256 KiB.
 */
const OVERLAY_SHARE = 1 / 128
/** Of an overlay on a disk: a number for each free cluster of a terabyte, in arrays that grow. */
const DISK_OVERLAY_BYTES = 256 * 2 ** 20

/** The options for Node with which a daemon of these options starts, as its environment has them. */
export function heapOptions({ cache, overlay }: Pick<Options, 'cache' | 'overlay'>): string {
  const bytes = PROGRAM_BYTES + cache * CACHE_SHARE + overlayBytes(overlay)
  return `--max-old-space-size=${Math.ceil(bytes / 2 ** 20)}`
}

function overlayBytes(overlay: Options['overlay']): number {
  switch (overlay?.kind) {
    case undefined:
    case 'none':
      return 0
    case 'memory':
      return totalmem() * OVERLAY_SHARE
    case 'file':
    case 'local':
      return DISK_OVERLAY_BYTES
  }
}
