import { DAEMON_KILLED } from '../../complaints.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'a Debian whose root daemon is killed again and again, with the overlay on a disk',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  disksMiB: [512],
  deadlineMs: 1_200_000,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlay=/dev/vda'],
  complaints: DAEMON_KILLED,
  says: [/the daemon of \/dev\/nbd0 ended \(137\), starting another one/],
  expects: { kind: 'boots' },
}
