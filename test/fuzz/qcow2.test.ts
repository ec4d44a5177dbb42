import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const SECONDS = 10

t.test('damaged images end in right bytes or in a named refusal', async (t) => {
  t.setTimeout(120_000)
  const script = join(import.meta.dirname, 'qcow2.ts')
  const words = [script, '--seconds', String(SECONDS)]
  const ended = await promisify(execFile)(process.execPath, words).catch((error: unknown) => error)
  // The line that says how many cases there were, or how to see the ones that went wrong again.
  const said = ended instanceof Object && 'stdout' in ended ? String(ended.stdout) : String(ended)
  t.match(said, /^seed \d+: .*[1-9]\d* bytes.*; 0 findings$/m, said)
})
