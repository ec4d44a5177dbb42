import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'two network cards, of which BOOTIF= names the one that leads to the server',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  start: { firmware: 'bios', loader: 'ipxe', secondCard: true },
  deadlineMs: 600_000,
  expects: { kind: 'boots' },
}
