import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'break= gives a shell beside the mounted root, and leaving it goes on',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'initramfs-tools',
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'break=bottom'],
  async meanwhile(machine) {
    await machine.console.find(/\(initramfs\) /)
    machine.type('netcow list; echo left with $?; exit')
  },
  says: [/\/dev\/nbd0 .*image\.qcow2/, /left with 0/],
  expects: { kind: 'boots' },
}
