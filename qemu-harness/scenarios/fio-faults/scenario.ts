import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario } from '../../scenario.ts'

/** Long enough for retries to begin, and once for every timeout of the HTTP client. */
const OUTAGES_MS = [2000, 8000, 60_000, 4000]
const BETWEEN_MS = 15_000

export const scenario: Scenario = {
  description: 'fio writes and verifies for minutes while the cable is pulled out now and then',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib', extras: ['fio'] },
  tested: false,
  deadlineMs: 1_200_000,
  words: (url) => [`root=netcow:${url}`],
  async meanwhile(machine) {
    await machine.verdict.find(/"fio"/)
    for (const outageMs of OUTAGES_MS) {
      await sleep(BETWEEN_MS)
      await machine.connect(false)
      await sleep(outageMs)
      await machine.connect(true)
    }
  },
  // Counted from when somebody noticed, which takes a while where nothing is refused.
  says: [/netcow: the source answers again after [3-7]\d s/],
  complaints: [/Possible stuck request/],
  expects: { kind: 'boots' },
}
