import type { Architecture } from '../build/node-binary.ts'
import type { Suite } from './tree.ts'

/** Which of many possible Debians a guest is: its release, what runs its network, its init. */

export interface GuestVariant {
  readonly suite: Suite
  /** x64 unless said. */
  readonly architecture?: Architecture
  /** What takes care of the guest's network; unless said, nothing does. */
  readonly network?: keyof typeof NETWORKS
  /** The first process; systemd unless said. */
  readonly init?: keyof typeof INITS
  /** More packages. */
  readonly extras?: readonly string[]
}

/** Packages, and shell that is run as root when they are installed, with the tree as $1. */
interface Ingredients {
  readonly packages: readonly string[]
  readonly after: readonly string[]
}

/** The name that udev gives the only card of the machine that QEMU makes. */
const CARD = 'ens3'

/** Shell: Python, which many packages bring, has a binary format for which the guest has no module. */
export const NO_BINARY_FORMATS =
  'chroot "$1" systemctl mask systemd-binfmt.service proc-sys-fs-binfmt_misc.automount'

/** Each brings up the card by DHCP, in the way its manual shows first. */
export const NETWORKS = {
  none: () => ({ packages: [], after: [] }),
  networkd: () => ({
    packages: [],
    after: [
      write('etc/systemd/network/20-wired.network', '[Match]', 'Name=en*', '[Network]', 'DHCP=yes'),
      'chroot "$1" systemctl enable systemd-networkd.service',
    ],
  }),
  networkmanager: () => ({ packages: ['network-manager'], after: [] }),
  netplan: () => ({
    packages: ['netplan.io'],
    after: [
      write(
        'etc/netplan/wired.yaml',
        'network:',
        '  version: 2',
        '  renderer: networkd',
        '  ethernets:',
        '    wired:',
        '      match: {name: "en*"}',
        '      dhcp4: true',
      ),
      'chmod 600 "$1/etc/netplan/wired.yaml"',
      NO_BINARY_FORMATS,
    ],
  }),
  ifupdown: (suite) => ({
    packages: ['ifupdown', suite === 'bookworm' ? 'isc-dhcp-client' : 'dhcpcd-base'],
    after: [
      write('etc/network/interfaces', 'auto lo', 'iface lo inet loopback', `auto ${CARD}`),
      write('etc/network/interfaces.d/wired', `iface ${CARD} inet dhcp`),
      'echo "source /etc/network/interfaces.d/*" >> "$1/etc/network/interfaces"',
    ],
  }),
} as const satisfies Record<string, (suite: Suite) => Ingredients>

export const INITS = {
  systemd: { packages: ['systemd-sysv'], after: [] },
  /** What the harness plants for systemd is started by a script of the last run level. */
  sysvinit: {
    packages: ['sysvinit-core', 'initscripts', 'sysv-rc', 'orphan-sysvinit-scripts'],
    after: [
      write(
        'etc/init.d/netcow-harness',
        '#!/bin/sh',
        '### BEGIN INIT INFO',
        '# Provides: netcow-harness',
        '# Required-Start: $all',
        '# Required-Stop:',
        '# Default-Start: 2',
        '# Default-Stop:',
        '### END INIT INFO',
        '[ "$1" != start ] || setsid sh /run/netcow-harness/check.sh </dev/null >/dev/null 2>&1 &',
      ),
      'chmod +x "$1/etc/init.d/netcow-harness"',
      'chroot "$1" update-rc.d netcow-harness defaults',
    ],
  },
} as const satisfies Record<string, Ingredients>

/** What tells this variant from the plain guest, for the names of what is made of it. */
export function variantWords(variant: GuestVariant): readonly string[] {
  const { architecture, network, init, extras = [] } = variant
  return [architecture, network, init, ...extras].filter((word) => word !== undefined)
}

/** Shell that writes a file of the tree. */
function write(path: string, ...lines: readonly string[]): string {
  const text = lines.map((line) => `'${line}'`).join(' ')
  return `printf '%s\\n' ${text} > "$1/${path}"`
}
