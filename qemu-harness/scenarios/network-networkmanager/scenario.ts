import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario } from '../../scenario.ts'

/** NetworkManager takes a cable for lost after five seconds. */
const OUTAGE_MS = 15_000

export const scenario: Scenario = {
  description: 'NetworkManager, sprees of signals, a cut cable, and a power-off that unmounts',
  image: {
    suite: 'bookworm',
    layout: 'filesystem',
    compression: 'zlib',
    network: 'networkmanager',
  },
  tested: true,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  async meanwhile(machine) {
    await machine.verdict.find(/"cut"/)
    await machine.connect(false)
    await sleep(OUTAGE_MS)
    await machine.connect(true)
  },
  says: [/netcow: \/dev\/nbd0 is detached/, /netcow: the root is taken apart: poweroff/],
  expects: { kind: 'boots' },
}
