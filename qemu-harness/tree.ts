import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { mirror } from './mirror.ts'
import { type GuestVariant, INITS, NETWORKS, variantWords } from './guest-variant.ts'
import { step } from './progress.ts'

export const SUITES = ['bookworm', 'trixie'] as const
export type Suite = (typeof SUITES)[number]

/** A Debian tree: what is in it, and what is done to it once its packages are installed. */
interface Recipe {
  readonly name: string
  readonly suite: Suite
  readonly packages: readonly string[]
  /** Shell, run as root with the tree as $1: before the packages, and after them. */
  readonly before: readonly string[]
  readonly after: readonly string[]
}

/** What nobody reads in a guest, and would only make images and archives larger. */
const LEFT_OUT = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/locale/*',
  '/usr/share/info/*',
]

/**
 * The root file system that guests boot: a small Debian that knows nothing of netcow. Root has no
 * password: the guest lives behind QEMU's own network and lasts for one boot.
 */
export function guestTree(cache: Cache, variant: GuestVariant): Promise<string> {
  const { suite, extras = [] } = variant
  const network = NETWORKS[variant.network ?? 'none'](suite)
  const init = INITS[variant.init ?? 'systemd']
  return tree(cache, {
    name: ['guest', ...variantWords(variant)].join('-'),
    suite,
    packages: [
      init.packages,
      ['udev', 'dbus', 'login', 'e2fsprogs', 'iproute2', 'kmod', 'procps'],
      network.packages,
      extras,
    ].flat(),
    before: [],
    after: [
      'chroot "$1" passwd --delete root',
      'echo netcow-guest > "$1/etc/hostname"',
      'echo "127.0.0.1 localhost netcow-guest" > "$1/etc/hosts"',
      // Empty, not absent: systemd then takes a fresh identity without first-boot questions.
      ': > "$1/etc/machine-id"',
      ': > "$1/etc/fstab"',
      'rm -f "$1/etc/resolv.conf"',
      ...init.after,
      ...network.after,
    ],
  })
}

/** A Debian with its kernel and dracut, in which initramfs images are made. */
export function builderTree(cache: Cache, suite: Suite): Promise<string> {
  return tree(cache, {
    name: 'builder',
    suite,
    packages: [
      ['linux-image-amd64', 'dracut', 'dracut-network', 'systemd', 'udev', 'dbus', 'kmod'],
      ['systemd-resolved', 'iproute2', 'procps', 'zstd', 'cpio'],
      // What the executable is linked with, and strip, which dracut uses if it is there.
      ['libatomic1', 'libstdc++6', 'binutils'],
      suite === 'bookworm' ? ['isc-dhcp-client', 'busybox'] : [],
    ].flat(),
    // The kernel package would make an initramfs of its own here, which nobody boots.
    before: [
      'chroot "$1" dpkg-divert --local --rename --add /usr/bin/dracut',
      'ln -s true "$1/usr/bin/dracut"',
    ],
    after: [
      'rm "$1/usr/bin/dracut"',
      'chroot "$1" dpkg-divert --local --rename --remove /usr/bin/dracut',
    ],
  })
}

/**
 * The tools that tests and measurements compare with, in the versions of this release; they run
 * through chroot.
 */
export function oracleTree(cache: Cache, suite: Suite): Promise<string> {
  return tree(cache, {
    name: 'oracle',
    suite,
    packages: ['qemu-utils', 'libnbd-bin', 'nbdkit', 'fio'],
    before: [],
    after: [],
  })
}

/** The path of the tree: root's files, for root's eyes. */
function tree(cache: Cache, recipe: Recipe): Promise<string> {
  const name = `${recipe.name}-${recipe.suite}`
  return cache.entry(name, { ...recipe, LEFT_OUT, version: 1 }, (path) =>
    step(`Debian tree ${name}`, () => bootstrap(recipe, path, join(cache.directory, 'archives'))),
  )
}

/** The packages pass through `archives`, so that a changed recipe downloads only what is new. */
async function bootstrap(recipe: Recipe, path: string, archives: string): Promise<void> {
  const kept = join(archives, `${recipe.name}-${recipe.suite}`)
  await mkdir(kept, { recursive: true })
  const site = await mirror()
  const command = [
    ['mmdebstrap', '--quiet', '--mode=root', '--format=directory', '--variant=minbase'],
    ['--keyring=/usr/share/keyrings/debian-archive-keyring.gpg'],
    [`--include=${recipe.packages.join(',')}`],
    LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    ['--skip=essential/unlink', '--setup-hook=mkdir -p "$1/var/cache/apt/archives"'],
    [`--setup-hook=sync-in ${kept} /var/cache/apt/archives`],
    recipe.before.map((script) => `--essential-hook=${script}`),
    recipe.after.map((script) => `--customize-hook=${script}`),
    ['--customize-hook=chroot "$1" apt-get --quiet autoclean'],
    [`--customize-hook=sync-out /var/cache/apt/archives ${kept}`],
    [recipe.suite, path, ...(site === undefined ? [] : [site])],
  ]
  await runAsRoot(command.flat())
}
