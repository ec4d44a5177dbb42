import { DAEMON_KILLED } from '../../complaints.ts'
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
  complaints: DAEMON_KILLED,
}
