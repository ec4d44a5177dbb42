import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the dracut of Debian unstable',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'dracut',
  suite: 'sid',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
