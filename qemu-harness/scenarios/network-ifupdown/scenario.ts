import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'ifupdown leaves the interface alone, at its start and at its end',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib', network: 'ifupdown' },
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: \/dev\/nbd0 is detached/],
  expects: { kind: 'boots' },
}
