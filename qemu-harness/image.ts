import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Architecture } from '../build/node-binary.ts'
import type { Cache } from './cache.ts'
import { run, runAsRoot } from './command.ts'
import { type GuestVariant, variantWords } from './guest-variant.ts'
import { step } from './progress.ts'
import { guestTree } from './tree.ts'

export interface ImageKind extends GuestVariant {
  /** One ext4 file system and nothing around it, or a partition table with that in it. */
  readonly layout: 'filesystem' | 'gpt'
  readonly compression: 'zlib' | 'zstd'
}

export interface Image {
  readonly path: string
  /** The checksums, as sha256sum prints them, of a subtree of its files. */
  readonly manifest: string
}

/** What scenarios may name on the kernel command line. */
export const FILESYSTEM_UUID = '6e657463-6f77-4f66-8e65-74776f726b21'
const FILESYSTEM_LABEL = 'netcow-root'
const PARTITION_UUID = '6e657463-6f77-4170-a172-746974696f6e'

const DISK_UUID = '6e657463-6f77-4469-b36b-6469736b6469'
/** The types of root partitions in the Discoverable Partitions Specification. */
const ROOT_TYPES = {
  x64: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  arm64: 'b921b045-1df0-41c3-af44-4c6f280d3fae',
} as const satisfies Record<Architecture, string>

const MEBIBYTE = 1 << 20
const FILESYSTEM_BYTES = 1024 * MEBIBYTE
/** Where the partition begins, and what is kept free at the end for the second table. */
const PARTITION_BYTE = MEBIBYTE
const SECTOR_BYTES = 512

/** The files whose checksums the guest compares: about 20 MB that it does not change itself. */
const CHECKED = ['usr/sbin', 'usr/lib/systemd', 'etc/systemd']

/** A compressed QCOW2 of the guest's tree. */
export async function debianImage(cache: Cache, kind: ImageKind): Promise<Image> {
  const tree = await guestTree(cache, kind)
  const inputs = { ...kind, tree: basename(tree), FILESYSTEM_BYTES, CHECKED, version: 1 }
  const words = [kind.suite, kind.layout, kind.compression, ...variantWords(kind)]
  const name = `image-${words.join('-')}`
  const entry = await cache.entry(name, inputs, (directory) =>
    step(`QCOW2 image ${name}`, () => make(kind, tree, directory)),
  )
  return { path: join(entry, 'image.qcow2'), manifest: join(entry, 'manifest') }
}

async function make(kind: ImageKind, tree: string, directory: string): Promise<void> {
  await mkdir(directory)
  const raw = join(directory, 'image.raw')
  if (kind.layout === 'filesystem') await makeFilesystem(tree, raw, 0)
  else {
    await makePartitionTable(raw, ROOT_TYPES[kind.architecture ?? 'x64'])
    await makeFilesystem(tree, raw, PARTITION_BYTE)
  }
  const format = ['-O', 'qcow2', '-o', `compression_type=${kind.compression}`]
  await run(['qemu-img', 'convert', '-c', ...format, raw, join(directory, 'image.qcow2')])
  await rm(raw)
  const find =
    'cd "$1" && shift && find $(ls -d "$@") -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum'
  const sums = await runAsRoot(['sh', '-c', find, 'sh', tree, ...CHECKED])
  await writeFile(join(directory, 'manifest'), sums)
}

async function makePartitionTable(raw: string, type: string): Promise<void> {
  await writeFile(raw, '')
  await truncate(raw, PARTITION_BYTE + FILESYSTEM_BYTES + MEBIBYTE)
  const [start, size] = [PARTITION_BYTE / SECTOR_BYTES, FILESYSTEM_BYTES / SECTOR_BYTES]
  const partition = `start=${start}, size=${size}, type=${type}, uuid=${PARTITION_UUID}`
  const script = `label: gpt\nlabel-id: ${DISK_UUID}\n${partition}, name=root\n`
  await run(['sh', '-c', 'printf %s "$1" | sfdisk --quiet "$2"', 'sh', script, raw])
}

/** Everything is written now: what mke2fs would leave to the guest would land in its overlay. */
async function makeFilesystem(tree: string, raw: string, offset: number): Promise<void> {
  await writeFile(raw, '', { flag: 'a' })
  const extended = `lazy_itable_init=0,lazy_journal_init=0,hash_seed=${DISK_UUID},offset=${offset}`
  const named = ['-U', FILESYSTEM_UUID, '-L', FILESYSTEM_LABEL]
  const command = ['mke2fs', '-q', '-F', '-t', 'ext4', '-E', extended, ...named, '-d', tree]
  await runAsRoot([...command, raw, `${FILESYSTEM_BYTES / 1024}k`])
  await run(['e2fsck', '-fn', offset === 0 ? raw : `${raw}?offset=${offset}`])
}
