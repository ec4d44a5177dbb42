/** One thing that was looked at, and what there is to say about it. */
export interface Finding {
  readonly subject: string
  /** `warning`: it will work, but not everything, or not well. `bad`: it will not. */
  readonly verdict: 'good' | 'warning' | 'bad'
  /** What was found, as a clause without a full stop. */
  readonly found: string
  /** What the user can do about it. */
  readonly advice?: string
  /** What a command would end with because of it; only of what is bad. */
  readonly exitCode?: number
}

export function good(subject: string, found: string): Finding {
  return { subject, verdict: 'good', found }
}

export function warning(subject: string, found: string, advice: string): Finding {
  return { subject, verdict: 'warning', found, advice }
}

export function bad(subject: string, found: string, advice: string, exitCode: number): Finding {
  return { subject, verdict: 'bad', found, advice, exitCode }
}
