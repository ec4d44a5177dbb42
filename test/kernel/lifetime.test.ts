import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { ended } from '../../src/kernel/lifetime.ts'

/** Longer than any test runs. */
const FOR_EVER_MS = 10 ** 9

t.test('the end of a process is waited for, though nobody has asked how it ended', async (t) => {
  // The shell becomes a program that never asks for what it has started.
  const parent = spawn('sh', ['-c', 'sleep 1000 >&2 & echo $!; exec cat'], { stdio: 'pipe' })
  const [line] = await once(parent.stdout, 'data')
  const child = Number(`${line}`)
  let over = false
  const end = ended(child, FOR_EVER_MS).then(() => (over = true))
  await ended(child, 1)
  t.notOk(over, 'while it lives there is no end but that of the patience')
  process.kill(child, 'SIGKILL')
  await end
  t.pass('it is over')
  parent.kill()
})

t.test('a process that never was has ended', async () => {
  await ended(2 ** 30, FOR_EVER_MS)
})
