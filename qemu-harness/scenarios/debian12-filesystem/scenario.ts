import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 12 from a zlib QCOW2 of one ext4, root=netcow',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
