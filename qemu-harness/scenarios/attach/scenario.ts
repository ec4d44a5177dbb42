import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'attach, write, read and detach a RAM device; the root in use stays',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  tested: true,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
