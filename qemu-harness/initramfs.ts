import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { step } from './progress.ts'
import { type Suite, builderTree } from './tree.ts'

/** What a machine starts from. */
export interface BootFiles {
  readonly kernel: string
  readonly initramfs: string
}

/** What of netcow goes into an initramfs. */
export interface Netcow {
  /** The executable, dist/netcow. */
  readonly executable: string
  /** The dracut module, dracut/90netcow. */
  readonly dracutModule: string
}

/**
 * Generic, as a pool of different machines needs it. Level 3 is quick to make and, unlike the
 * higher levels, costs nothing when a boot loader fetches a few more megabytes from this machine.
 */
const DRACUT = [
  ['dracut', '--force', '--no-hostonly', '--no-hostonly-cmdline', '--reproducible'],
  ['--no-early-microcode', '--compress', 'zstd -3 -T0', '--add', 'netcow'],
].flat()

/**
 * Runs in a mount namespace of its own, so that nothing it mounts outlives it: $1 is the tree, $2
 * the executable, $3 the module, $4 where the results go, and what follows is the dracut command.
 */
const MAKE = `
set -eu
tree=$1 executable=$2 module=$3 results=$4
shift 4
install -m 755 "$executable" "$tree/usr/bin/netcow"
rm -rf "$tree/usr/lib/dracut/modules.d/90netcow"
cp -r "$module" "$tree/usr/lib/dracut/modules.d/90netcow"
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
version=$(ls "$tree/lib/modules")
chroot "$tree" "$@" --kver "$version" /tmp/initramfs
cp "$tree/boot/vmlinuz-$version" "$results/kernel"
cp "$tree/tmp/initramfs" "$results/initramfs"
chmod 644 "$results/kernel" "$results/initramfs"
`

/** The kernel of `suite` and an initramfs that its dracut makes with netcow in it. */
export async function dracutInitramfs(
  cache: Cache,
  suite: Suite,
  { executable, dracutModule }: Netcow,
): Promise<BootFiles> {
  const tree = await builderTree(cache, suite)
  const name = `initramfs-${suite}-dracut`
  const inputs = {
    tree: basename(tree),
    executable: await digestOf([executable]),
    dracutModule: await digestOf(await filesIn(dracutModule)),
    recipe: [DRACUT, MAKE],
  }
  const entry = await cache.entry(name, inputs, (results) =>
    step(`Initramfs ${name}`, async () => {
      await mkdir(results)
      const unshare = ['unshare', '--mount', '--pid', '--fork', 'sh', '-c', MAKE, 'sh']
      await runAsRoot([...unshare, tree, executable, dracutModule, results, ...DRACUT])
    }),
  )
  return { kernel: join(entry, 'kernel'), initramfs: join(entry, 'initramfs') }
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((file) => join(file.parentPath, file.name)).sort()
}

async function digestOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) {
    hash.update(`${basename(file)}\0`)
    for await (const chunk of createReadStream(file)) hash.update(chunk)
  }
  return hash.digest('hex')
}
