import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const SECONDS = 10

t.test('what clients say that is damaged ends in errors or a closed connection', async (t) => {
  t.setTimeout(120_000)
  const script = join(import.meta.dirname, 'fuzz.ts')
  const words = [script, '--target', 'nbd', '--seconds', String(SECONDS)]
  const ended = await promisify(execFile)(process.execPath, words).catch((error: unknown) => error)
  // The line that says how many cases there were, or how to see the ones that went wrong again.
  const said = ended instanceof Object && 'stdout' in ended ? String(ended.stdout) : String(ended)
  t.match(said, /^seed \d+: .*[1-9]\d* ends.*; 0 findings$/m, said)
})
