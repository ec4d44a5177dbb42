import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'dracut 106 without systemd, with network-legacy',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'dracut-without-systemd',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`netroot=netcow:${url}`],
  expects: { kind: 'boots' },
}
