import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'a system with systemd from an initramfs without it; power-off unmounts all the same',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'dracut-without-systemd',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: \/dev\/nbd0 is detached/, /netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
