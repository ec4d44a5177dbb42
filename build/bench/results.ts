import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type BarGroup, barChart } from './chart.ts'

const RESULTS = join(import.meta.dirname, '../../results')

/** Leaves every round as JSON and the medians as a chart in results/, which is not committed. */
export async function writeResults(
  name: string,
  title: string,
  measured: unknown,
  groups: readonly BarGroup[],
): Promise<void> {
  await mkdir(RESULTS, { recursive: true })
  const base = join(RESULTS, `bench-${name}`)
  await writeFile(`${base}.json`, `${JSON.stringify(measured, undefined, 2)}\n`)
  await writeFile(`${base}.svg`, barChart(title, groups))
  console.log(`every round is in ${resolve(base)}.json, a chart in ${resolve(base)}.svg`)
}
