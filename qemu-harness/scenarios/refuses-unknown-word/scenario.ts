import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'a word on the kernel command line is misspelt',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlaay=memory'],
  expects: { kind: 'refuses', line: /netcow: .*rd\.netcow\.overlaay.*rd\.netcow\.overlay\b/ },
}
