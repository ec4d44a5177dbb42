import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { type BootFiles, digestOf } from './initramfs.ts'
import { step } from './progress.ts'
import { type Suite, builderTree, microTree } from './tree.ts'

/** What a micro guest can be given beside busybox. */
const TOOLS = {
  base: ['/bin/busybox', '/bin/dash', '/sbin/blkid', '/sbin/mke2fs', '/sbin/e2fsck'],
  block: ['/bin/lsblk', '/sbin/blkdiscard'],
  fio: ['/usr/bin/fio'],
  'qemu-nbd': ['/usr/bin/qemu-nbd'],
  xfs: ['/sbin/mkfs.xfs', '/sbin/xfs_repair'],
  btrfs: ['/usr/bin/btrfs', '/sbin/mkfs.btrfs'],
} as const satisfies Record<string, readonly string[]>
export type Tool = Exclude<keyof typeof TOOLS, 'base'>

/** The kernel's modules by what a script loads them for; each with what it needs. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  base: ['virtio_pci', 'virtio_net', 'virtio_blk', 'virtio_rng', 'crc32c_generic'],
  nbd: ['nbd'],
  ext4: ['ext4'],
  xfs: ['xfs'],
  btrfs: ['btrfs'],
  overlay: ['overlay'],
}

/** What the executable is linked with; each brings what it needs itself. */
const LIBRARIES = ['libstdc++.so.6', 'libatomic.so.1', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0']

/**
 * $1 is the tree of the tools, $2 the tree with the kernel, $3 where the results go; then the
 * files of the first tree, and behind a "--" words like nbd=MODULE,MODULE. Modules are unpacked, so
 * that busybox can load them in the order of their lists.
 */
const MAKE = `
set -eu
tools=$1 builder=$2 results=$3
shift 3
root=$results/root
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/modules"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
mkdir "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/mnt" "$root/etc"
bring() {
  mkdir -p "$root/\${1%/*}"
  [ -e "$root/$1" ] || cp -L "$tools/$1" "$root/$1"
}
while [ "$1" != -- ]; do
  bring "$1"
  for library in $(chroot "$tools" ldd "$1" | sed -n 's|.*[[:space:]]\\(/[^ ]*\\) (0x.*|\\1|p'); do
    bring "$library"
  done
  shift
done
shift
version=$(ls "$builder/lib/modules")
for group in "$@"; do
  for module in $(echo "\${group#*=}" | tr , ' '); do
    chroot "$builder" modprobe -S "$version" --show-depends "$module"
  done | sed -n 's/^insmod \\([^ ]*\\).*/\\1/p' | while read -r path; do
    name=\${path##*/}
    name=\${name%.xz}
    if [ ! -e "$root/modules/$name" ]; then
      case $path in
        *.xz) xz -dc "$builder/$path" >"$root/modules/$name" ;;
        *) cp "$builder/$path" "$root/modules/$name" ;;
      esac
    fi
    echo "$name"
  done | awk '!seen[$0]++' >"$root/modules/\${group%%=*}.list"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc) >"$results/initramfs"
cp "$builder/boot/vmlinuz-$version" "$results/kernel"
chmod 644 "$results/kernel" "$results/initramfs"
`

/** The files of a micro guest; `root` is what its initramfs holds, but for netcow. */
export interface MicroFiles extends BootFiles {
  readonly root: string
}

/** A kernel, and an initramfs of busybox, the modules of that kernel and the tools. */
export async function microInitramfs(
  cache: Cache,
  suite: Suite,
  tools: readonly Tool[],
): Promise<MicroFiles> {
  const [tree, builder] = [await microTree(cache, suite), await builderTree(cache, suite, 'dracut')]
  const name = ['micro', suite, ...tools.toSorted()].join('-')
  const directory = '/usr/lib/x86_64-linux-gnu'
  const files = [
    ...TOOLS.base,
    ...tools.flatMap((tool) => TOOLS[tool]),
    ...LIBRARIES.map((library) => `${directory}/${library}`),
  ]
  const groups = Object.entries(MODULES).map(([group, names]) => `${group}=${names.join(',')}`)
  const inputs = { tree: basename(tree), builder: basename(builder), files, groups, MAKE }
  const entry = await cache.entry(name, inputs, (results) =>
    step(`Initramfs ${name}`, async () => {
      await mkdir(results)
      await runAsRoot(['sh', '-c', MAKE, 'sh', tree, builder, results, ...files, '--', ...groups])
    }),
  )
  return {
    kernel: join(entry, 'kernel'),
    initramfs: join(entry, 'initramfs'),
    root: join(entry, 'root'),
  }
}

/** The executable as an archive of its own, which the kernel unpacks behind the rest. */
export async function netcowArchive(cache: Cache, executable: string): Promise<string> {
  const make = `
    set -eu
    mkdir -p "$2.tree/usr/bin"
    install -m 755 "$1" "$2.tree/usr/bin/netcow"
    (cd "$2.tree" && echo usr/bin/netcow | cpio --quiet --reproducible -o -H newc) >"$2"
    rm -r "$2.tree"`
  const inputs = { executable: await digestOf([executable]), make }
  return cache.entry('micro-netcow', inputs, async (path) => {
    await runAsRoot(['sh', '-c', make, 'sh', executable, path])
    await runAsRoot(['chmod', '644', path])
  })
}
