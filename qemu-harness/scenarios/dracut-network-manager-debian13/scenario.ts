import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'dracut 106 with NetworkManager',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'dracut-network-manager',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
