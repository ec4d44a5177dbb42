import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'the network cable is not plugged in, and initramfs-tools restarts when rd.netcow.timeout is over',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'initramfs-tools',
  tested: false,
  deadlineMs: 900_000,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.timeout=20', 'rd.netcow.onfail=reboot'],
  meanwhile: (machine) => machine.connect(false),
  expects: { kind: 'ends', end: 'restarted', line: /netcow: reboot in 10 s, as rd.netcow.onfail/ },
}
