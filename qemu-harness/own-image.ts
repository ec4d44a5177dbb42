import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { UsageError } from '../src/errors.ts'
import type { Boot } from './boot.ts'
import { DEADLINE_MS, MEMORY_MIB } from './catalogue.ts'
import { HOST } from './qemu.ts'
import type { Suite } from './tree.ts'

/** Depends on what the user put into the image, not on how it is served. */
const TOLERATED = ['units']

/**
 * A boot of an image that the user brings: a file, which the harness serves, or the address of one.
 * Without a root= in `words` the root is found in the image by netcow itself.
 */
export async function ownImageBoot(
  image: string,
  words: readonly string[],
  suite: Suite,
): Promise<Boot> {
  return {
    name: 'image',
    suite,
    initramfs: 'dracut',
    image: /^https?:/.test(image) ? { url: seenFromGuest(image) } : { file: await found(image) },
    words: (url) => {
      const named = words.some((word) => /^(rd\.)?netcow=|^(net)?root=netcow:/.test(word))
      if (named) return words
      const root = words.some((word) => word.startsWith('root='))
      return [root ? `rd.netcow=${url}` : `root=netcow:${url}`, ...words]
    },
    expects: { kind: 'boots' },
    manifest: undefined,
    scripts: [],
    tolerates: TOLERATED,
    interactive: false,
    memoryMiB: MEMORY_MIB,
    disks: [],
    disksMiB: [],
    deadlineMs: DEADLINE_MS,
  }
}

/** This machine's own loopback has another address there. */
function seenFromGuest(address: string): string {
  const url = new URL(address)
  if (['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) url.hostname = HOST
  return url.href
}

async function found(path: string): Promise<string> {
  const file = resolve(path)
  try {
    await access(file)
  } catch (cause) {
    throw new UsageError('the image cannot be read', { where: { path: file }, cause })
  }
  return file
}
