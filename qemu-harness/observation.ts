import type { Traffic } from '../test/fixtures/range-server.ts'
import type { Lines } from './lines.ts'
import type { Machine } from './machine.ts'
import { Verdict } from './verdict.ts'

/** What was noticed of one machine while it ran. */
export interface Observation {
  readonly verdict: Verdict
  /** What the image's server had been asked for when the guest reached multi-user for the first time. */
  readonly toMultiUser: Traffic | undefined
  /** When the kernel started, for the first and for the last time, on the clock of performance.now(). */
  readonly bootedAtMs: number | undefined
  readonly lastBootedAtMs: number | undefined
  /** When the guest had stopped everything that it was running, for the last time. */
  readonly lastUnitAtMs: number | undefined
}

/** systemd's last words before it leaves the rest to systemd-shutdown. */
const LAST_UNIT = /Reached target (?:poweroff|reboot)\.target/
const MULTI_USER = /"measure":"multiUserSeconds"/

/** Listens to the guest's check until the machine ends. */
export async function observe(
  machine: Pick<Machine, 'console' | 'verdict'>,
  traffic: () => Traffic,
): Promise<Observation> {
  const verdict = new Verdict()
  let toMultiUser: Traffic | undefined
  let bootedAtMs: number | undefined
  let lastBootedAtMs: number | undefined
  const lastUnit = lastSeen(machine.console, LAST_UNIT)
  for await (const line of machine.verdict) {
    verdict.add(line)
    const multiUserSeconds = verdict.measures.get('multiUserSeconds')
    if (multiUserSeconds === undefined || !MULTI_USER.test(line)) continue
    toMultiUser ??= traffic()
    lastBootedAtMs = performance.now() - multiUserSeconds * 1000
    bootedAtMs ??= lastBootedAtMs
  }
  return { verdict, toMultiUser, bootedAtMs, lastBootedAtMs, lastUnitAtMs: await lastUnit }
}

/** When the last line that matches came, once the port has closed; a guest may restart often. */
async function lastSeen(lines: Lines, pattern: RegExp): Promise<number | undefined> {
  let momentMs: number | undefined
  for await (const line of lines) if (pattern.test(line)) momentMs = performance.now()
  return momentMs
}
