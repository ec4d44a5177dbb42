import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description:
    'a RAM device: its sizes, writes, trims, zeroes, and its end; what lsblk and the kernel say',
  suite: 'trixie',
  tools: ['block'],
  tested: true,
}
