import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the image named by the DHCP server, initramfs-tools',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'initramfs-tools',
  tested: false,
  start: { firmware: 'bios', loader: 'grub-dhcp' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
