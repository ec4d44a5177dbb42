import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Architecture } from '../build/node-binary.ts'
import type { Cache } from './cache.ts'
import { runAsRoot } from './command.ts'
import { mirror } from './mirror.ts'
import {
  type GuestVariant,
  INITS,
  NETWORKS,
  NO_BINARY_FORMATS,
  variantWords,
} from './guest-variant.ts'
import { step } from './progress.ts'

export const SUITES = ['bookworm', 'trixie'] as const
export type Suite = (typeof SUITES)[number]

/** Those that initramfs images are made with: also the one where everything is newest. */
export const BUILDER_SUITES = [...SUITES, 'sid'] as const
export type BuilderSuite = (typeof BUILDER_SUITES)[number]

/** A Debian tree: what is in it, and what is done to it once its packages are installed. */
interface Recipe {
  readonly name: string
  readonly suite: BuilderSuite
  /**
   * x64 unless said. The programs of another one run by binfmt_misc, for which Debian's
   * qemu-user-static provides.
   */
  readonly architecture?: Architecture | undefined
  readonly packages: readonly string[]
  /** Shell, run as root with the tree as $1: before the packages, and after them. */
  readonly before: readonly string[]
  readonly after: readonly string[]
}

/** Debian's names for them. */
const DEBIAN = { x64: 'amd64', arm64: 'arm64' } as const satisfies Record<Architecture, string>

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
    architecture: variant.architecture,
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
      ...(extras.length > 0 ? [NO_BINARY_FORMATS] : []),
    ],
  })
}

/** The trees that initramfs images are made in, each with one system that makes them. */
export type Builder = 'dracut' | 'dracut-networks' | 'initramfs-tools'

interface BuilderParts {
  readonly packages: readonly string[]
  /** What the kernel package would call to make an initramfs of its own, which nobody boots. */
  readonly maker: string
}

function builderParts(builder: Builder, suite: BuilderSuite): BuilderParts {
  const dhclient = suite === 'sid' ? [] : ['isc-dhcp-client']
  const bookworm = suite === 'bookworm' ? ['isc-dhcp-client', 'busybox'] : []
  switch (builder) {
    case 'dracut':
      return { packages: bookworm, maker: '/usr/bin/dracut' }
    case 'dracut-networks':
      return { packages: ['network-manager', ...dhclient], maker: '/usr/bin/dracut' }
    case 'initramfs-tools':
      return { packages: ['busybox'], maker: '/usr/sbin/update-initramfs' }
  }
}

/** A Debian with its kernel and one system that makes initramfs images. */
export function builderTree(
  cache: Cache,
  suite: BuilderSuite,
  builder: Builder,
  architecture?: Architecture,
): Promise<string> {
  const { packages, maker } = builderParts(builder, suite)
  const system = builder === 'initramfs-tools' ? ['initramfs-tools'] : ['dracut', 'dracut-network']
  return tree(cache, {
    name: ['builder', ...(builder === 'dracut' ? [] : [builder]), architecture]
      .filter(Boolean)
      .join('-'),
    suite,
    architecture,
    packages: [
      [
        `linux-image-${DEBIAN[architecture ?? 'x64']}`,
        ...system,
        'systemd',
        'udev',
        'dbus',
        'kmod',
      ],
      ['systemd-resolved', 'iproute2', 'procps', 'zstd', 'cpio'],
      // What the executable is linked with, and strip, which dracut uses if it is there.
      ['libatomic1', 'libstdc++6', 'binutils'],
      packages,
    ].flat(),
    before: [
      `chroot "$1" dpkg-divert --local --rename --add ${maker}`,
      `ln -s ${builder === 'initramfs-tools' ? '/bin/true' : 'true'} "$1${maker}"`,
    ],
    after: [`rm "$1${maker}"`, `chroot "$1" dpkg-divert --local --rename --remove ${maker}`],
  })
}

/** The tools of the micro guest, which has no distribution around it. */
export function microTree(cache: Cache, suite: Suite): Promise<string> {
  return tree(cache, {
    name: 'micro',
    suite,
    packages: [
      ['busybox-static', 'util-linux', 'e2fsprogs', 'xfsprogs', 'btrfs-progs', 'fio', 'qemu-utils'],
      ['libatomic1', 'libstdc++6'],
    ].flat(),
    before: [],
    after: [],
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
    packages: [
      // The second brings qemu's HTTP client; nginx is the web server of measurements and tests.
      ['qemu-utils', 'qemu-block-extra', 'libnbd-bin', 'nbdkit', 'fio', 'nginx'],
      // nbdsh; that of Debian 12 knows no extended headers.
      suite === 'trixie' ? ['python3-libnbd'] : [],
    ].flat(),
    before: [],
    after: [],
  })
}

/** Tools that make file systems of other systems. */
export function mediumTree(cache: Cache): Promise<string> {
  return tree(cache, {
    name: 'medium',
    suite: 'trixie',
    packages: ['dosfstools', 'mtools', 'ntfs-3g'],
    before: [],
    after: [],
  })
}

/** The path of the tree: root's files, for root's eyes. */
export function tree(cache: Cache, recipe: Recipe): Promise<string> {
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
    recipe.architecture ? [`--architectures=${DEBIAN[recipe.architecture]}`] : [],
    // A site that keeps unstable as it was one day is as good, and its lists have run out.
    recipe.suite === 'sid' ? [`--aptopt=Acquire::Check-Valid-Until "false"`] : [],
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
