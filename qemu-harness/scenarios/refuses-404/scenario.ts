import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the server has no such file',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: true,
  words: (url) => [`root=netcow:${url}.not-there`],
  expects: { kind: 'refuses', line: /netcow: .*404.*http:.*;/ },
}
