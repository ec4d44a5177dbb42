import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'dracut 106 makes an overlayfs of a read-only root, without an overlay of netcow',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  initramfs: 'dracut-overlayfs',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlay=none', 'rd.live.overlay.overlayfs=1'],
  // It leaves the root mounted below the overlayfs, where nobody can unmount it: the device may stay.
  says: [/netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
