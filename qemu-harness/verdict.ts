import * as z from 'zod/mini'

/** What guest/check.sh and guest/emergency.sh report, a line each. */
const Report = z.union([
  z.object({ check: z.string(), ok: z.boolean(), detail: z.string() }),
  z.object({ measure: z.string(), value: z.number() }),
  z.object({ emergency: z.literal(true), rootMounted: z.boolean() }),
  z.object({ done: z.literal(true) }),
])
export type Report = z.infer<typeof Report>

/** What the guest has said of itself so far. */
export class Verdict {
  readonly checks: { readonly name: string; readonly ok: boolean; readonly detail: string }[] = []
  readonly measures = new Map<string, number>()
  /** Set once the initramfs gave up. */
  emergency: { readonly rootMounted: boolean } | undefined
  /** How often the guest has looked at everything. */
  boots = 0

  /** Adds a line of the port; false if it is none of ours. */
  add(line: string): boolean {
    const report = parse(line)
    if (report === undefined) return false
    if ('check' in report) {
      this.checks.push({ name: report.check, ok: report.ok, detail: report.detail })
    } else if ('measure' in report) this.measures.set(report.measure, report.value)
    else if ('emergency' in report) this.emergency = { rootMounted: report.rootMounted }
    else this.boots++
    return true
  }
}

function parse(line: string): Report | undefined {
  try {
    return Report.parse(JSON.parse(line))
  } catch {
    return undefined
  }
}
