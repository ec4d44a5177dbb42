import { FILESYSTEM_UUID } from '../../image.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 13 from a zstd QCOW2 of a partition table, found by root=UUID',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  tested: true,
  words: (url) => [`rd.netcow=${url}`, `root=UUID=${FILESYSTEM_UUID}`],
  says: [/netcow: \/dev\/nbd0 is detached/, /netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
