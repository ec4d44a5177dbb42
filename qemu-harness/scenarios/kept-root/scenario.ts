import { DAEMON_KILLED } from '../../complaints.ts'
import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description:
    'a root with its overlay on a disk: its daemon killed again and again after switch_root',
  suite: 'trixie',
  tested: true,
  disksMiB: [256],
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlay=/dev/vda'],
  complaints: DAEMON_KILLED,
}
