import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the initramfs-tools of Debian unstable',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'initramfs-tools',
  suite: 'sid',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'boots' },
}
