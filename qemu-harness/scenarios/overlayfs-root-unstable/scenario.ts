import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the dracut of Debian unstable does so at rd.overlay',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  initramfs: 'dracut-overlayfs',
  suite: 'sid',
  deadlineMs: 600_000,
  like: 'overlayfs-root',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlay=none', 'rd.overlay=1'],
  says: [/netcow: \/dev\/nbd0 is detached/, /netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
