import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'networkd, by the word of netplan, takes the interface over, restarts, and powers off',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib', network: 'netplan' },
  like: 'network-networkd',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: \/dev\/nbd0 is detached/],
  expects: { kind: 'boots' },
}
