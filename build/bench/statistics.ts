/** The middle one, which an outlier does not move; NaN of nothing. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN
}

/**
 * How many times as large the first numbers are as the second: the median of the ratios of each
 * round, so that what slows the machine down for a while hits both sides.
 */
export function medianRatio(numbers: readonly number[], others: readonly number[]): number {
  return median(numbers.map((number, round) => number / (others[round] ?? NaN)))
}

/**
 * Measures everything in turn, round by round (A B A B), and returns the results of each in the
 * order of `subjects`. The first round fills caches and does not count.
 */
export async function inTurn<Subject, Result>(
  subjects: readonly Subject[],
  rounds: number,
  measure: (subject: Subject, round: number) => Promise<Result>,
): Promise<Result[][]> {
  const results = subjects.map((): Result[] => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const result = await measure(subject, round)
      if (round > 0) results[index]?.push(result)
    }
  }
  return results
}
