import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'ten boots in a row, each ended by a restart',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib', network: 'networkd' },
  tested: false,
  deadlineMs: 3_600_000,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: the root is taken apart: reboot/],
  expects: { kind: 'reboots', times: 10 },
}
