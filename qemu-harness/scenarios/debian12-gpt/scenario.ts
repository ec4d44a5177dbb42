import { FILESYSTEM_UUID } from '../../image.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 12 from a zlib QCOW2 of a partition table, found by root=UUID',
  image: { suite: 'bookworm', layout: 'gpt', compression: 'zlib' },
  tested: true,
  words: (url) => [`rd.netcow=${url}`, `root=UUID=${FILESYSTEM_UUID}`],
  expects: { kind: 'boots' },
}
