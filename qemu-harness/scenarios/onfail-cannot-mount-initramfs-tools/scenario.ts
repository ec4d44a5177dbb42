import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the root cannot be mounted, and initramfs-tools restarts as rd.netcow.onfail says',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'initramfs-tools',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rootfstype=vfat', 'rd.netcow.onfail=reboot'],
  expects: { kind: 'ends', end: 'restarted', line: /netcow: reboot in 10 s, as rd.netcow.onfail/ },
}
