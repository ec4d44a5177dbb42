import { readFile, rename } from 'node:fs/promises'
import { stripVTControlCharacters } from 'node:util'
import { UsageError } from '../src/errors.ts'
import { type Boot, boot } from './boot.ts'
import { chosenScenarios, obstacleOf, scenarioBoot } from './catalogue.ts'
import { main, parsed } from './command-line.ts'
import { ownImageBoot } from './own-image.ts'
import { step } from './progress.ts'
import { keepResult, keptResults } from './kept-results.ts'
import { table } from './report.ts'
import type { BootResult } from './result.ts'
import { loadScenario } from './scenario.ts'
import { SUITES } from './tree.ts'
import { type Workshop, openWorkshop } from './workshop.ts'

const HELP = `Boots virtual machines from QCOW2 images over HTTP, and says how each boot went.

  npm run boots                              every scenario
  npm run boots -- NAME...                   some
  npm run boots -- --list                    their names
  npm run boots -- --table                   the last result of each, without booting
  npm run boots -- --image FILE|URL          an image of your own, with systemd in it
      --append WORDS                         more of the kernel command line, as root=LABEL=...
      --suite ${SUITES.join('|')}                whose kernel and initramfs (${SUITES.at(-1)})
  --json                                     results as JSON on standard output
  --help

Exit code 0: every boot went as expected; 1: one did not; 2: wrong words on the command line.
Console and result of each boot are kept in results/boots/.
`

const TAIL_LINES = 40

/** What came of the scenarios that were to be booted. */
export interface Outcome {
  readonly results: readonly BootResult[]
  /** Those that this machine cannot boot, and why. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

/** Boots the scenarios called `names`, or all of them, one after the other. */
export async function bootScenarios(names: readonly string[] = []): Promise<Outcome> {
  const chosen = await chosenScenarios(names)
  const workshop = await openWorkshop()
  const results: BootResult[] = []
  const skipped: Outcome['skipped'][number][] = []
  for (const name of chosen) {
    const reason = await obstacleOf(name)
    if (reason === undefined) results.push(await tell(await scenarioBoot(name, workshop), workshop))
    else {
      process.stderr.write(`Boot ${name} skipped: ${reason}\n`)
      skipped.push({ name, reason })
    }
  }
  return { results, skipped }
}

async function tell(plan: Boot, workshop: Workshop): Promise<BootResult> {
  const once = () => step(`Boot ${plan.name}`, () => boot(plan, workshop))
  let result = await once()
  if (result.breakdown !== undefined) {
    const { breakdown, log } = result
    process.stderr.write(`  once more, the machine failed by itself: ${breakdown}\n`)
    await rename(log, log.replace(/\.log$/, '.first.log'))
    result = { ...(await once()), breakdown }
  }
  await keepResult(result)
  process.stderr.write(`  ${result.ok ? 'good' : `BAD: ${result.reason}`}\n`)
  if (!result.ok) process.stderr.write(indented(await lastLines(result.log)))
  return result
}

/** The end of a console: a machine of which only the output is seen later keeps no logs. */
async function lastLines(log: string): Promise<readonly string[]> {
  const text = stripVTControlCharacters(await readFile(log, 'utf8'))
  return text.trimEnd().split(/\s*\n/).slice(-TAIL_LINES)
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  | ${line}\n`).join('')
}

async function list(): Promise<string> {
  const names = await chosenScenarios([])
  const width = Math.max(...names.map(({ length }) => length))
  const lines = names.map(async (name) => {
    const { scenario } = await loadScenario(name)
    return `${name.padEnd(width)}  ${scenario.description}`
  })
  return (await Promise.all(lines)).join('\n')
}

async function boots(): Promise<number> {
  const { values, positionals } = parsed(
    {
      list: { type: 'boolean' },
      table: { type: 'boolean' },
      image: { type: 'string' },
      append: { type: 'string' },
      suite: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
    true,
  )
  if (values.help) return say(HELP.trimEnd())
  if (values.list) return say(await list())
  if (values.table) return say(table(await keptResults(await chosenScenarios(positionals))))
  const { results, skipped } = await (values.image === undefined
    ? bootScenarios(positionals)
    : bootOwnImage(values.image, values.append, values.suite, positionals))
  say(values.json ? JSON.stringify(results, undefined, 2) : table(results))
  if (!values.json) for (const { name, reason } of skipped) say(`${name} skipped: ${reason}`)
  return results.every(({ ok }) => ok) ? 0 : 1
}

async function bootOwnImage(
  image: string,
  append = '',
  wanted: string = SUITES.at(-1)!,
  names: readonly string[],
): Promise<Outcome> {
  const suite = SUITES.find((name) => name === wanted)
  if (suite === undefined) throw new UsageError(`there is no suite ${wanted}`)
  if (names.length > 0) throw new UsageError('--image boots an image in place of scenarios')
  const plan = await ownImageBoot(image, append.split(/\s+/).filter(Boolean), suite)
  return { results: [await tell(plan, await openWorkshop())], skipped: [] }
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

if (import.meta.main) await main(boots)
