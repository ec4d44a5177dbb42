import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const directory = t.testdir()
const raw = join(directory, 'raw')
writeFileSync(raw, Buffer.alloc(2 ** 20))

/** What a terminal is shown of these words. */
function shown(columns: number, words: string): string {
  const netcow = `${JSON.stringify(process.execPath)} ${JSON.stringify(MAIN)} ${words}`
  const command = `stty cols ${columns}; ${netcow}`
  const argv = ['--quiet', '--return', '--command', command, '/dev/null']
  return execFileSync('script', argv, { encoding: 'utf8', cwd: directory })
}

t.test('a progress bar stays within its line, however narrow that is', async (t) => {
  const copy = 'copy raw out --format raw'
  t.match(shown(100, copy), /\r\[#{30}\] 100 % {2}1 MiB [^\n]*\n$/)
  for (const drawn of shown(20, copy).trimEnd().split('\r')) t.ok(drawn.length < 20, drawn)
})
