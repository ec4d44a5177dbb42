import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the image named by the DHCP server, dracut 059 with network-legacy',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  initramfs: 'dracut-network-legacy',
  tested: false,
  start: { firmware: 'bios', loader: 'grub-dhcp' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
