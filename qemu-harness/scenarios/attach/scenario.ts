import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'attach, write, read and detach a RAM device; another one stays until the root is taken apart',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  says: [
    /netcow: \/dev\/nbd1 is detached/,
    /netcow: \/dev\/nbd0 is detached/,
    /netcow: the root is taken apart: poweroff/,
  ],
  expects: { kind: 'boots' },
}
