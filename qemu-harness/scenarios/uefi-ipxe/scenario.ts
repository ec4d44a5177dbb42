import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'UEFI firmware to iPXE and its script, kernel and initramfs over HTTP',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  start: { firmware: 'uefi', loader: 'ipxe' },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
