import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'from the boot ROM to GRUB, kernel and initramfs over HTTP, then the root',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  start: { firmware: 'bios', loader: 'grub' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
