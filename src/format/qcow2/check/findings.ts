import type { CheckReport, Problem } from '../../check-report.ts'

/** A report longer than this helps nobody; the rest is only counted. */
const MOST_PROBLEMS = 1000

/** Counts what a check finds and keeps the first of it. */
export class Findings {
  readonly problems: Problem[] = []
  corruptions = 0
  leaks = 0
  allocated = 0
  fragmented = 0
  compressed = 0
  /** The end of the last cluster in use, in bytes. */
  end = 0

  corruption(what: string, where: Readonly<Record<string, number>>): void {
    this.corruptions++
    this.#keep({ kind: 'corruption', what, where })
  }

  leak(what: string, where: Readonly<Record<string, number>>): void {
    this.leaks++
    this.#keep({ kind: 'leak', what, where })
  }

  report(totalClusters: number): CheckReport {
    return {
      'image-end-offset': this.end,
      'total-clusters': totalClusters,
      'allocated-clusters': this.allocated,
      'fragmented-clusters': this.fragmented,
      'compressed-clusters': this.compressed,
      'check-errors': 0,
      corruptions: this.corruptions,
      leaks: this.leaks,
      problems: this.problems,
    }
  }

  #keep(problem: Problem): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(problem)
  }
}
