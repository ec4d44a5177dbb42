import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the root cannot be mounted, and systemd restarts as rd.netcow.onfail says',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'mkinitcpio-systemd',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rootfstype=vfat', 'rd.netcow.onfail=reboot'],
  expects: { kind: 'ends', end: 'restarted', line: /Failed to mount.*sysroot/, by: 'initramfs' },
}
