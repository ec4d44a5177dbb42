import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { type InitramfsKind, RECIPES } from './initramfs-kind.ts'
import { step } from './progress.ts'
import { type BuilderSuite, builderTree } from './tree.ts'

/** What a machine starts from. */
export interface BootFiles {
  readonly kernel: string
  readonly initramfs: string
}

/** What of netcow goes into an initramfs. */
export interface Netcow {
  /** The executable, dist/netcow. */
  readonly executable: string
  /** The repository, with dracut/ and initramfs-hooks/ in it. */
  readonly sources: string
}

/**
 * Runs in a mount namespace of its own, so that nothing it mounts outlives it: $1 is the tree, $2
 * the executable, $3 the hooks, $4 where the results go. The two scripts are the recipe's.
 */
const wrapped = (install: string, make: string) => `
set -eu
tree=$1 executable=$2 hooks=$3 results=$4
install -m 755 "$executable" "$tree/usr/bin/netcow"
${install}
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
version=$(ls "$tree/lib/modules")
${make}
cp "$tree/boot/vmlinuz-$version" "$results/kernel"
cp "$tree/tmp/initramfs" "$results/initramfs"
chmod 644 "$results/kernel" "$results/initramfs"
`

/** The kernel of `suite` and an initramfs of the given kind, made in it with netcow. */
export async function makeInitramfs(
  cache: Cache,
  suite: BuilderSuite,
  kind: InitramfsKind,
  { executable, sources }: Netcow,
): Promise<BootFiles> {
  const { builder, hooks, install, make } = RECIPES[kind]
  const tree = await builderTree(cache, suite, builder)
  const name = `initramfs-${suite}-${kind}`
  const script = wrapped(install, make)
  const inputs = {
    tree: basename(tree),
    executable: await digestOf([executable]),
    hooks: await digestOf(await filesIn(join(sources, hooks))),
    script,
  }
  const entry = await cache.entry(name, inputs, (results) =>
    // Two kinds that are made in one tree must not meet there.
    cache.alone(basename(tree), () =>
      step(`Initramfs ${name}`, async () => {
        await mkdir(results)
        const unshare = ['unshare', '--mount', '--pid', '--fork', 'sh', '-c', script, 'sh']
        await runAsRoot([...unshare, tree, executable, join(sources, hooks), results])
      }),
    ),
  )
  return { kernel: join(entry, 'kernel'), initramfs: join(entry, 'initramfs') }
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((file) => join(file.parentPath, file.name)).sort()
}

export async function digestOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) {
    hash.update(`${basename(file)}\0`)
    for await (const chunk of createReadStream(file)) hash.update(chunk)
  }
  return hash.digest('hex')
}
