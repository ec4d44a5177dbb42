import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'dracut 059 with systemd and network-legacy',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'dracut-network-legacy',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
