import { FILESYSTEM_UUID } from '../../image.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 13 by its initramfs-tools, boot=netcow and root=UUID',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'initramfs-tools',
  tested: false,
  deadlineMs: 600_000,
  words: (url) => ['boot=netcow', `rd.netcow=${url}`, `root=UUID=${FILESYSTEM_UUID}`],
  expects: { kind: 'boots' },
}
