import { UsageError } from '../src/errors.ts'
import { type Boot, boot } from './boot.ts'
import { scenarioBoot } from './catalogue.ts'
import { main, parsed } from './command-line.ts'
import { step } from './progress.ts'
import { failure, summary } from './report.ts'
import { type Workshop, openWorkshop } from './workshop.ts'

const SCENARIO = 'debian12-filesystem'
const HELP = `Boots a Debian from a QCOW2 image over HTTP and leaves you at its login prompt.

  npm run demo                 log in as root, without a password
  npm run demo -- --check      without a terminal: the guest checks itself and powers off
  --help
`
const WELCOME = `
Below is the console of a virtual machine without a disk. Its root file system is on this
machine's web server. Log in as root, without a password. To leave: poweroff, or Ctrl-A X.

`

const NO_TERMINAL = 'the demo leaves you at a terminal, and this is none'

async function demo(): Promise<number> {
  const { values } = parsed({ check: { type: 'boolean' }, help: { type: 'boolean' } }, false)
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  if (!values.check && !process.stdin.isTTY) {
    throw new UsageError(NO_TERMINAL, { advice: 'use npm run demo -- --check' })
  }
  const workshop = await openWorkshop()
  const plan = await scenarioBoot(SCENARIO, workshop)
  return values.check ? unattended(plan, workshop) : attended(plan, workshop)
}

async function unattended(plan: Boot, workshop: Workshop): Promise<number> {
  const meanwhile: Boot['meanwhile'] = async ({ console }) => void (await console.find(/login: *$/))
  const result = await step('Boot', () => boot({ ...plan, meanwhile }, workshop))
  process.stdout.write(`${result.ok ? summary(result) : failure(result).join('\n')}\n`)
  return result.ok ? 0 : 1
}

/** The user decides when it ends, and by what. */
async function attended(plan: Boot, workshop: Workshop): Promise<number> {
  process.stdout.write(WELCOME)
  const result = await boot({ ...plan, interactive: true, deadlineMs: undefined }, workshop)
  if (result.seconds.multiUser !== undefined) process.stdout.write(`\n${summary(result)}\n`)
  return 0
}

await main(demo)
