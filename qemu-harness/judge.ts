import type { End } from './machine.ts'
import type { Expectation } from './scenario.ts'
import type { Verdict } from './verdict.ts'

/** Everything that a boot left behind to be judged by. */
export interface Evidence {
  readonly end: End
  readonly verdict: Verdict
  readonly console: readonly string[]
  /** Checks that may fail: those which depend on what is in the image, not on how it is served. */
  readonly tolerates: readonly string[]
}

/** What netcow says on the console, in whatever frame the initramfs puts around it. */
const OURS = /\bnetcow: /

/** Why the boot is not what was expected, or undefined if it is. */
export function fault(expected: Expectation, evidence: Evidence): string | undefined {
  switch (expected.kind) {
    case 'boots':
      return bootFault(evidence)
    case 'refuses':
      return refusalFault(expected.line, evidence)
  }
}

function bootFault({ end, verdict, console, tolerates }: Evidence): string | undefined {
  const said = console.findLast((line) => OURS.test(line))?.trim()
  if (verdict.emergency) return `the initramfs gave up: ${said ?? 'netcow said nothing'}`
  if (!verdict.done) {
    const reached = verdict.checks.at(-1)?.name
    const progress = reached ? `after its check of ${reached}` : 'before it reached multi-user'
    return `the guest ${end === 'killed' ? 'hung' : end} ${progress}; ${said ?? 'netcow said nothing'}`
  }
  const bad = verdict.checks.filter(({ name, ok }) => !ok && !tolerates.includes(name))
  if (bad.length > 0) return bad.map(({ name, detail }) => `${name}: ${detail}`).join('; ')
  if (end === 'powered off') return undefined
  return `the guest did not power off but ${end === 'killed' ? 'hung' : end}`
}

function refusalFault(pattern: RegExp, { end, verdict, console }: Evidence): string | undefined {
  const lines = console.filter((line) => pattern.test(line))
  if (verdict.done) return 'the guest booted, but should have been refused'
  if (lines.length !== 1) {
    const said = console.filter((line) => OURS.test(line)).map((line) => line.trim())
    return `${lines.length} console lines match ${pattern}, not one; netcow said: ${said.join(' | ')}`
  }
  if (!verdict.emergency) return `the guest ${end === 'killed' ? 'hung' : end} without giving up`
  if (verdict.emergency.rootMounted) return 'the root was mounted when the initramfs gave up'
  return end === 'powered off' || end === 'halted' ? undefined : `the guest did not end but ${end}`
}
