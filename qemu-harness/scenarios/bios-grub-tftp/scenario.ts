import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'as bios-grub, with kernel and initramfs by TFTP',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  start: { firmware: 'bios', loader: 'grub-tftp' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
