import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 12 by its initramfs-tools, root found by netcow',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'initramfs-tools',
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: \/dev\/nbd0 is detached/, /netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
