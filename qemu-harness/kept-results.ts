import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import type { BootResult } from './result.ts'

/** The last result of each boot, beside its console: a matrix takes hours, and grows a boot at a time. */

const DIRECTORY = join(import.meta.dirname, '../results/boots')

const optional = z.exactOptional(z.number())
const Traffic = z.object({ requests: z.number(), bytes: z.number() })
const Result = z.object({
  name: z.string(),
  ok: z.boolean(),
  reason: z.exactOptional(z.string()),
  breakdown: z.exactOptional(z.string()),
  seconds: z.object({
    loaded: optional,
    attached: optional,
    multiUser: optional,
    poweredOff: optional,
    largestWait: optional,
    afterLastUnit: optional,
    total: z.number(),
  }),
  toMultiUser: z.exactOptional(Traffic),
  traffic: Traffic,
  imageBytes: optional,
  daemonBytes: z.exactOptional(z.object({ own: z.number(), file: optional, peak: z.number() })),
  pinnedBytes: optional,
  comparedBytes: optional,
  ratios: z.exactOptional(z.record(z.string(), z.number())),
  emulated: z.exactOptional(z.boolean()),
  log: z.string(),
})

export async function keepResult(result: BootResult, directory = DIRECTORY): Promise<void> {
  await writeFile(pathOf(result.name, directory), JSON.stringify(result, undefined, 2))
}

/** Those of `names` that were booted at all. */
export async function keptResults(
  names: readonly string[],
  directory = DIRECTORY,
): Promise<BootResult[]> {
  const texts = await Promise.all(
    names.map((name) => readFile(pathOf(name, directory), 'utf8').catch(() => undefined)),
  )
  return texts.flatMap((text) => (text === undefined ? [] : [Result.parse(JSON.parse(text))]))
}

function pathOf(name: string, directory: string): string {
  return join(directory, `${name}.json`)
}
