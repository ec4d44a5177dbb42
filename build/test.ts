import { execFile } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { bootScenarios } from '../qemu-harness/boots.ts'
import { testedScenarios } from '../qemu-harness/catalogue.ts'
import { step } from '../qemu-harness/progress.ts'
import { build } from './build.ts'

/**
 * Everything that `npm test` runs, in the order of what fails soonest: static checks, unit and
 * oracle tests, boots. The last line counts what was really run.
 */

const root = resolve(import.meta.dirname, '..')
const SOURCES = ['src', 'test', 'build', 'qemu-harness']
const STAGES = ['static', 'unit', 'boots'] as const

interface Count {
  passed: number
  failed: number
  skipped: number
}

function shellScripts(): string[] {
  const patterns = [
    'dracut/**/*.sh',
    'initramfs-hooks/*/{hooks,install}/*',
    'qemu-harness/guest/mkinitcpio/*/*',
    'initramfs-hooks/*/scripts/netcow',
    'initramfs-hooks/*/scripts/*/*',
    'build/*.sh',
    'qemu-harness/**/*.sh',
  ]
  return [...globSync(patterns, { cwd: root }), '.ci/run']
}

const STATIC: readonly (readonly string[])[] = [
  ['tsc', '--project', '.'],
  ['oxlint', '--deny-warnings', ...SOURCES],
  ['oxfmt', '--check', ...SOURCES],
  ['knip'],
  ['shellcheck', ...shellScripts()],
  ['shfmt', '--diff', '-i', '2', '-ci', ...shellScripts()],
]

async function staticChecks(): Promise<Count> {
  const count = { passed: 0, failed: 0, skipped: 0 }
  for (const [tool = '', ...args] of STATIC) {
    const complaint = await step(`Check with ${tool}`, () => complaintOf(tool, args))
    if (complaint === undefined) count.passed++
    else {
      count.failed++
      console.log(`${tool} complains:\n${complaint}`)
    }
  }
  return count
}

async function complaintOf(tool: string, args: readonly string[]): Promise<string | undefined> {
  try {
    await promisify(execFile)(tool, args, { cwd: root, maxBuffer: 2 ** 26 })
    return undefined
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    return stdout + stderr || error.message
  }
}

/** tap counts assertions; its last comment says how many of each kind there were. */
async function unitTests(): Promise<Count> {
  const results = join(root, 'results')
  mkdirSync(results, { recursive: true })
  const output = join(results, 'unit.tap')
  rmSync(output, { force: true })
  const args = ['--disable-coverage', '--reporter=tap', `--output-file=${output}`]
  const complaint = await step('Unit and oracle tests', () => complaintOf('tap', args))
  const tap = existsSync(output) ? readFileSync(output, 'utf8') : ''
  const last = tap.match(/^# \{ .* \}$/gm)?.at(-1) ?? ''
  const number = (kind: string) => Number(new RegExp(`\\b${kind}: (\\d+)`).exec(last)?.[1] ?? 0)
  if (complaint !== undefined) console.log(failures(tap) || complaint)
  const failed = number('fail')
  // A run that broke before it could count is a failure too.
  const broken = complaint !== undefined && failed === 0 ? 1 : 0
  return {
    passed: number('pass'),
    failed: failed + broken,
    skipped: number('skip') + number('todo'),
  }
}

/** What went wrong, without the thousands of lines that went well. */
function failures(tap: string): string {
  const blocks = tap.match(/^ *not ok .*(?:\n *---\n[^]*?\n *\.\.\.$)?/gm) ?? []
  return blocks.join('\n')
}

async function boots(): Promise<Count> {
  const { results, skipped } = await bootScenarios(await testedScenarios())
  const passed = results.filter(({ ok }) => ok).length
  return { passed, failed: results.length - passed, skipped: skipped.length }
}

async function test(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } })
  const stages = STAGES.filter((stage) => values.only === undefined || values.only === stage)
  if (stages.length === 0) {
    console.error(`test: --only takes ${STAGES.join(', ')}, not '${values.only}'`)
    return 2
  }
  const run = { static: staticChecks, unit: unitTests, boots }
  const total = { passed: 0, failed: 0, skipped: 0 }
  await step('Build dist/netcow', build)
  for (const stage of stages) {
    const { passed, failed, skipped } = await run[stage]()
    total.passed += passed
    total.failed += failed
    total.skipped += skipped
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return total.failed === 0 ? 0 : 1
}

process.exitCode = await test()
