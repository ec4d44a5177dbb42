import type { Traffic } from '../test/fixtures/range-server.ts'
import type { Machine } from './machine.ts'
import { Verdict } from './verdict.ts'

/** What was noticed of one machine while it ran. */
export interface Observation {
  readonly verdict: Verdict
  /** What the image's server had been asked for when the guest reached multi-user. */
  readonly toMultiUser: Traffic | undefined
  /** When the kernel started, on the clock of performance.now(). */
  readonly bootedAtMs: number | undefined
  /** When the guest had stopped everything that it was running. */
  readonly lastUnitAtMs: number | undefined
}

/** systemd's last words before it leaves the rest to systemd-shutdown. */
const LAST_UNIT = /Reached target (?:poweroff|reboot)\.target/

/** Listens to the guest's check until the machine ends. */
export async function observe(machine: Machine, traffic: () => Traffic): Promise<Observation> {
  const verdict = new Verdict()
  let toMultiUser: Traffic | undefined
  let bootedAtMs: number | undefined
  let lastUnitAtMs: number | undefined
  const lastUnit = machine.console.find(LAST_UNIT).then(
    () => (lastUnitAtMs = performance.now()),
    () => undefined,
  )
  for await (const line of machine.verdict) {
    verdict.add(line)
    const multiUserSeconds = verdict.measures.get('multiUserSeconds')
    if (multiUserSeconds === undefined || toMultiUser) continue
    toMultiUser = traffic()
    bootedAtMs = performance.now() - multiUserSeconds * 1000
  }
  await lastUnit
  return { verdict, toMultiUser, bootedAtMs, lastUnitAtMs }
}
