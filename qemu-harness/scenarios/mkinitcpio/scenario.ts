import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'mkinitcpio with its busybox init, root found by netcow',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'mkinitcpio',
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
