import { DAEMON_KILLED } from '../../complaints.ts'
import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description: 'signals to a daemon; killed, another one takes over the device while it is read',
  suite: 'trixie',
  tested: false,
  complaints: DAEMON_KILLED,
}
