import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'UEFI firmware to GRUB, kernel and initramfs over HTTP',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  start: { firmware: 'uefi', loader: 'grub' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
