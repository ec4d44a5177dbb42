import { ImageUnsupported } from '../errors.ts'
import { partitions } from '../kernel/block-sysfs.ts'
import { probe } from './blkid.ts'

/** Finds the root in an attached image, by what blkid says of it. */

/** The root partition types of the Discoverable Partitions Specification. */
const ROOT_TYPES: Readonly<Record<string, string>> = {
  x64: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  arm64: 'b921b045-1df0-41c3-af44-4c6f280d3fae',
}
/** File systems that no Linux is installed on. */
const FOREIGN = new Set(['vfat', 'exfat', 'ntfs', 'msdos', 'iso9660', 'udf', 'hfsplus', 'apfs'])

/**
 * The name of the root's block device, such as `nbd0` or `nbd0p2`: the whole disk if it is one
 * file system, else the partition whose type says root, else the only one with a Linux file system.
 * Throws `ImageUnsupported` when that does not settle it.
 */
export async function findRoot(index: number): Promise<string> {
  const disk = `nbd${index}`
  if ((await probe(`/dev/${disk}`)).get('USAGE') === 'filesystem') return disk
  const candidates: string[] = []
  for (const name of partitions(index)) {
    const facts = await probe(`/dev/${name}`)
    if (facts.get('PART_ENTRY_TYPE') === ROOT_TYPES[process.arch]) return name
    const type = facts.get('TYPE') ?? ''
    if (facts.get('USAGE') === 'filesystem' && !FOREIGN.has(type)) candidates.push(name)
  }
  const [only, second] = candidates
  if (only !== undefined && second === undefined) return only
  const found = candidates.length === 0 ? 'no Linux file system' : candidates.join(' and ')
  throw new ImageUnsupported(`cannot tell which partition is the root: found ${found}`, {
    where: { device: `/dev/${disk}` },
    advice: 'name the image with rd.netcow=URL and the root with root=UUID=... or root=LABEL=...',
  })
}
