import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 13 from a zstd QCOW2 of one ext4, root=netcow',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
