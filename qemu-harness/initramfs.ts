import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Architecture } from '../build/node-binary.ts'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { GUEST_HOOKS, type InitramfsKind, RECIPES, type Recipe } from './initramfs-kind.ts'
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
 * the executable, $3 the hooks, $4 where the results go. The two scripts are the recipe's. A tree that
 * is not ours is left as it is, under a layer in memory.
 */
const wrapped = ({ install, make, builder }: Recipe) => `
set -eu
tree=$1 executable=$2 hooks=$3 results=$4
${builder === 'mkinitcpio' ? LAYER : ''}
install -m 755 "$executable" "$tree/usr/bin/netcow"
${install}
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
version=$(ls "$tree/lib/modules" | sort -V | tail -n 1)
${make}
kernel=$tree/usr/lib/modules/$version/vmlinuz
[ -e "$kernel" ] || kernel=$tree/boot/vmlinuz-$version
cp "$kernel" "$results/kernel"
cp "$tree/tmp/initramfs" "$results/initramfs"
chmod 644 "$results/kernel" "$results/initramfs"
`
const LAYER = `
layer=$results/layer
mkdir "$layer"
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/tree"
mount -t overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/tree"
tree=$layer/tree`

/** Why an initramfs of this kind cannot be made on this machine, or undefined if it can. */
export function obstacle(kind: InitramfsKind): string | undefined {
  if (RECIPES[kind].builder !== 'mkinitcpio' || mkinitcpioTree() !== undefined) return undefined
  return 'there is no mkinitcpio on this machine, nor in a tree that NETCOW_MKINITCPIO names'
}

/** A root file system with mkinitcpio, a kernel and its modules in it. */
function mkinitcpioTree(): string | undefined {
  const trees = [process.env['NETCOW_MKINITCPIO'], '/'].filter((tree) => tree !== undefined)
  return trees.find((tree) => existsSync(join(tree, 'usr/bin/mkinitcpio')))
}

/** The kernel of `suite` and an initramfs of the given kind, made in it with netcow. */
export async function makeInitramfs(
  cache: Cache,
  suite: BuilderSuite,
  kind: InitramfsKind,
  { executable, sources }: Netcow,
  architecture?: Architecture,
): Promise<BootFiles> {
  const recipe = RECIPES[kind]
  const { builder, hooks } = recipe
  const tree =
    builder === 'mkinitcpio'
      ? mkinitcpioTree()
      : await builderTree(cache, suite, builder, architecture)
  assert(tree !== undefined, 'whoever asks has looked for an obstacle')
  const words = [builder === 'mkinitcpio' ? undefined : suite, kind, architecture]
  const name = ['initramfs', ...words].filter((word) => word !== undefined).join('-')
  const script = wrapped(recipe)
  const inputs = {
    tree: builder === 'mkinitcpio' ? await digestOf(await mkinitcpioFiles(tree)) : basename(tree),
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

/** What tells one such tree from another: mkinitcpio itself, and our own hook for it. */
async function mkinitcpioFiles(tree: string): Promise<string[]> {
  return [
    join(tree, 'usr/bin/mkinitcpio'),
    ...(await filesIn(join(tree, 'usr/lib/initcpio'))),
    ...(await filesIn(GUEST_HOOKS)),
  ]
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
