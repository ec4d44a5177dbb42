import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the root cannot be mounted, and dracut restarts as rd.netcow.onfail says',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rootfstype=vfat', 'rd.netcow.onfail=reboot'],
  expects: { kind: 'ends', end: 'restarted', line: /Failed to mount.*sysroot/, by: 'initramfs' },
}
