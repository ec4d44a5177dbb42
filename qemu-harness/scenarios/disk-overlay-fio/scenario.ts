import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description:
    'fio writes and verifies over an overlay on a disk while its daemon is killed and replaced',
  suite: 'trixie',
  tested: false,
  tools: ['fio'],
  memoryMiB: 768,
  disksMiB: [512],
  deadlineMs: 600_000,
  // The kernel says that its connection ended; that another daemon comes is for us to prove.
  complaints: [
    /Receive control failed/,
    /Send control failed/,
    /Possible stuck/,
    /Dead connection/,
  ],
}
