import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'a system with sysvinit and ifupdown, from an initramfs without systemd',
  image: {
    suite: 'bookworm',
    layout: 'filesystem',
    compression: 'zlib',
    network: 'ifupdown',
    init: 'sysvinit',
  },
  initramfs: 'dracut-without-systemd',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
