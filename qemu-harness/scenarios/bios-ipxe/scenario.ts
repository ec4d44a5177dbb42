import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the boot ROM runs an iPXE script, kernel and initramfs over HTTP',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  start: { firmware: 'bios', loader: 'ipxe' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
