import { FILESYSTEM_UUID } from '../../image.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'mkinitcpio with systemd as its init, rd.netcow= and root=UUID',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'mkinitcpio-systemd',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`rd.netcow=${url}`, `root=UUID=${FILESYSTEM_UUID}`],
  expects: { kind: 'boots' },
}
