import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the image named by the DHCP server, dracut 106 with systemd-networkd',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  initramfs: 'dracut',
  tested: false,
  start: { firmware: 'bios', loader: 'grub-dhcp' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
