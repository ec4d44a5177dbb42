import type { RangeServer, Traffic } from '../test/fixtures/range-server.ts'
import type { Machine } from './machine.ts'
import { IMAGE_PATH } from './scenario.ts'
import { Verdict } from './verdict.ts'

/** What was noticed of one machine while it ran. */
export interface Observation {
  readonly verdict: Verdict
  /** What the image's server had been asked for when the guest reached multi-user. */
  readonly toMultiUser: Traffic | undefined
  /** When the kernel started, on the clock of performance.now(). */
  readonly bootedAtMs: number | undefined
}

/** Listens to the guest's check until the machine ends. */
export async function observe(machine: Machine, server: RangeServer): Promise<Observation> {
  const verdict = new Verdict()
  let toMultiUser: Traffic | undefined
  let bootedAtMs: number | undefined
  for await (const line of machine.verdict) {
    verdict.add(line)
    const multiUserSeconds = verdict.measures.get('multiUserSeconds')
    if (multiUserSeconds === undefined || toMultiUser) continue
    toMultiUser = server.traffic(IMAGE_PATH)
    bootedAtMs = performance.now() - multiUserSeconds * 1000
  }
  return { verdict, toMultiUser, bootedAtMs }
}
