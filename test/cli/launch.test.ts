import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const LAUNCHER = join(import.meta.dirname, '../fixtures/lonely-launcher.ts')

async function said(script: string): Promise<unknown[]> {
  const words = ['--disable-warning=ExperimentalWarning', LAUNCHER, script]
  const { stdout } = await promisify(execFile)(process.execPath, words)
  return stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}

t.test('a daemon says what it waits for and that it is attached, and lives on', async (t) => {
  const waiting = `echo '{"kind":"waiting","line":"'$$'"}' >&3`
  const attached = `echo '{"kind":"attached","index":3}' >&3`
  const [pid, outcome] = await said(`${waiting}; ${attached}; exec sleep 1000`)
  t.strictSame(outcome, { kind: 'attached', index: 3 })
  t.ok(process.kill(Number(pid), 'SIGKILL'))
})

t.test('one that ends without a word has failed, also when its keeper ends later', async (t) => {
  const line = (how: string | number) => [`the daemon ended before the device was there (${how})`]
  t.strictSame(await said('kill -KILL $$'), line('SIGKILL'))
  t.strictSame(await said('exit 7'), line(7))
  t.strictSame(await said('exec 3>&-; sh -c "exit 5"'), line(5))
})
