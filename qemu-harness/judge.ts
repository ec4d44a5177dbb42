import { complaints } from './complaints.ts'
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
  /** Lines of the kernel that may be there. */
  readonly complaints: readonly RegExp[]
  /** What must be there. */
  readonly says: readonly RegExp[]
}

/** What netcow says on the console, in whatever frame the initramfs puts around it. */
const OURS = /\bnetcow: /
const DEVICE = /\bnbd\d+: /
const PANIC = /\bKernel panic - not syncing/
/** The kernel's last words where somebody asked for them. */
const ASKED = /\breboot: /

/** Why the boot is not what was expected, or undefined if it is. */
export function fault(expected: Expectation, evidence: Evidence): string | undefined {
  switch (expected.kind) {
    case 'boots':
      return bootFault(evidence, 1, 'powered off')
    case 'reboots':
      return bootFault(evidence, expected.times, 'restarted')
    case 'refuses':
      return refusalFault(expected.line, evidence)
    case 'ends':
      return endFault(expected, evidence)
  }
}

/**
 * What the machine itself died of, or undefined: QEMU crashed, or nothing of netcow's had run yet when the
 * kernel panicked or the machine reset, as it does now and then under QEMU's own translator.
 */
export function breakdown({ end, console }: Pick<Evidence, 'end' | 'console'>): string | undefined {
  if (end === 'crashed') return 'QEMU crashed'
  if (console.some((line) => OURS.test(line) || DEVICE.test(line))) return undefined
  const panic = console.find((line) => PANIC.test(line))
  if (panic !== undefined) return panic.trim()
  const isReset = end === 'restarted' && !console.some((line) => ASKED.test(line))
  return isReset ? 'it was reset without a word' : undefined
}

function bootFault(evidence: Evidence, times: number, wanted: End): string | undefined {
  const { end, verdict, console, tolerates } = evidence
  const said = console.findLast((line) => OURS.test(line))?.trim()
  if (verdict.emergency) return `the initramfs gave up: ${said ?? 'netcow said nothing'}`
  if (verdict.boots < times) {
    const reached = verdict.checks.at(-1)?.name
    const progress = reached ? `after its check of ${reached}` : 'before it reached multi-user'
    const boot = times > 1 ? ` in boot ${verdict.boots + 1}` : ''
    return `the guest ${ended(end)} ${progress}${boot}; ${said ?? 'netcow said nothing'}`
  }
  const bad = verdict.checks.filter(({ name, ok }) => !ok && !tolerates.includes(name))
  if (bad.length > 0) return bad.map(({ name, detail }) => `${name}: ${detail}`).join('; ')
  if (end !== wanted) return `the guest should have ${wanted}, but it ${ended(end)}`
  const unsaid = evidence.says.find((pattern) => !console.some((line) => pattern.test(line)))
  if (unsaid !== undefined) return `the console does not say ${unsaid}`
  const [complaint] = complaints(console, evidence.complaints)
  return complaint === undefined ? undefined : `the console says: ${complaint.trim()}`
}

function ended(end: End): string {
  return end === 'killed' ? 'hung' : end
}

function endFault(
  { end: wanted, line: pattern, by }: Extract<Expectation, { kind: 'ends' }>,
  { end, verdict, console }: Evidence,
) {
  if (!console.some((line) => pattern.test(line))) return `the console does not say ${pattern}`
  if (verdict.emergency && by === undefined)
    return 'the initramfs gave up, in place of netcow ending the machine'
  return end === wanted ? undefined : `the guest should have ${wanted}, but it ${ended(end)}`
}

function refusalFault(pattern: RegExp, { end, verdict, console }: Evidence): string | undefined {
  const lines = console.filter((line) => pattern.test(line))
  if (verdict.boots > 0) return 'the guest booted, but should have been refused'
  if (lines.length !== 1) {
    const said = console.filter((line) => OURS.test(line)).map((line) => line.trim())
    const words = said.length > 0 ? `netcow said: ${said.join(' | ')}` : 'netcow said nothing'
    return `the guest ${ended(end)}; ${lines.length} console lines match ${pattern}, not one; ${words}`
  }
  if (!verdict.emergency) return `the guest ${ended(end)} without giving up`
  if (verdict.emergency.rootMounted) return 'the root was mounted when the initramfs gave up'
  return end === 'powered off' || end === 'halted' ? undefined : `the guest did not end but ${end}`
}
