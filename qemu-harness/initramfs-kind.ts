import { join } from 'node:path'
import type { Builder } from './tree.ts'

/** The guest has no modules, and its systemd wants these. */
const GUEST_MODULES = 'autofs4'
/** mkinitcpio takes the guest's part only as one more hook. */
export const GUEST_HOOKS = join(import.meta.dirname, 'guest/mkinitcpio')

/** The systems that make an initramfs and run in it. */
export type System = 'dracut' | 'initramfs-tools' | 'mkinitcpio'

/** One of the systems in one of its shapes. */
export type InitramfsKind =
  /** What dracut chooses by itself: systemd, and systemd-networkd. */
  | 'dracut'
  | 'dracut-without-systemd'
  | 'dracut-network-legacy'
  | 'dracut-network-manager'
  /** With what makes an overlayfs of a read-only root. */
  | 'dracut-overlayfs'
  | 'initramfs-tools'
  /** With the busybox init. */
  | 'mkinitcpio'
  | 'mkinitcpio-systemd'

export interface Recipe {
  readonly system: System
  /** The tree that it is made in; mkinitcpio is none of Debian's packages. */
  readonly builder: Builder | 'mkinitcpio'
  /** The directory of this repository that holds its hooks. */
  readonly hooks: string
  /** Shell: puts `$hooks` into `$tree`. */
  readonly install: string
  /** Shell: makes `$tree/tmp/initramfs` for the kernel `$version`. */
  readonly make: string
}

/**
 * Generic, as a pool of different machines needs it. Level 3 is quick to make and, unlike the
 * higher levels, costs nothing when a boot loader fetches a few more megabytes from this machine.
 */
const DRACUT = [
  'chroot "$tree" dracut --force --no-hostonly --no-hostonly-cmdline --reproducible',
  "--no-early-microcode --compress 'zstd -3 -T0' --add netcow --kver $version",
].join(' ')

/** `options` are more of dracut's own. */
function dracut(builder: Builder, options = ''): Recipe {
  return {
    system: 'dracut',
    builder,
    hooks: 'dracut/90netcow',
    install: `rm -rf "$tree/usr/lib/dracut/modules.d/90netcow"
cp -r "$hooks" "$tree/usr/lib/dracut/modules.d/90netcow"`,
    make: `${DRACUT} ${options} /tmp/initramfs`,
  }
}

/** `hooks` are those of mkinitcpio.conf; autodetect would leave out what the guest needs. */
function mkinitcpio(hooks: string): Recipe {
  return {
    system: 'mkinitcpio',
    builder: 'mkinitcpio',
    hooks: 'initramfs-hooks/mkinitcpio',
    install: `mkdir -p "$tree/etc/initcpio"
cp -r "$hooks/install" "$hooks/hooks" ${GUEST_HOOKS}/install ${GUEST_HOOKS}/hooks "$tree/etc/initcpio/"`,
    make: `cat >"$tree/tmp/mkinitcpio.conf" <<'CONFIGURATION'
HOOKS=(${hooks})
MODULES=(${GUEST_MODULES})
COMPRESSION=zstd
COMPRESSION_OPTIONS=(-3 -T0)
CONFIGURATION
chroot "$tree" mkinitcpio --config /tmp/mkinitcpio.conf --kernel "$version" \
  --generate /tmp/initramfs --nopost`,
  }
}

export const RECIPES: Readonly<Record<InitramfsKind, Recipe>> = {
  dracut: dracut('dracut'),
  'dracut-without-systemd': dracut(
    'dracut-networks',
    `--add network-legacy --force-drivers ${GUEST_MODULES} --omit 'systemd systemd-initrd dracut-systemd systemd-networkd network-manager'`,
  ),
  'dracut-network-legacy': dracut(
    'dracut-networks',
    "--add network-legacy --omit 'systemd-networkd network-manager'",
  ),
  'dracut-network-manager': dracut('dracut-networks', '--add network-manager'),
  'dracut-overlayfs': dracut('dracut', '--add overlayfs'),
  'initramfs-tools': {
    system: 'initramfs-tools',
    builder: 'initramfs-tools',
    hooks: 'initramfs-hooks/initramfs-tools',
    install: `rm -rf "$tree/etc/initramfs-tools/hooks" "$tree/etc/initramfs-tools/scripts"
echo ${GUEST_MODULES} >"$tree/etc/initramfs-tools/modules"
cp -r "$hooks/hooks" "$hooks/scripts" "$tree/etc/initramfs-tools/"`,
    make: 'chroot "$tree" mkinitramfs -c zstd -l 3 -o /tmp/initramfs "$version"',
  },
  mkinitcpio: mkinitcpio('base udev netcow modconf block filesystems netcow-harness shutdown'),
  'mkinitcpio-systemd': mkinitcpio('base systemd netcow modconf block filesystems netcow-harness'),
}
