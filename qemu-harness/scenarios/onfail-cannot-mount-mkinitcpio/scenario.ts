import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the root cannot be mounted, and mkinitcpio restarts as rd.netcow.onfail says',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'mkinitcpio',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rootfstype=vfat', 'rd.netcow.onfail=reboot'],
  expects: {
    kind: 'ends',
    end: 'restarted',
    line: /netcow: reboot in 10 s, as rd.netcow.onfail/,
    by: 'initramfs',
  },
}
