import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'

/** Waits for an answer that never comes, and says how that ended. */
const WAITING = `
  import { writeSync } from 'node:fs'
  import { netlinkSocket, receive } from './src/kernel/ffi.ts'
  const fd = netlinkSocket(16, 1)
  writeSync(1, 'waiting ')
  try {
    receive(fd, 4096)
  } catch (error) {
    writeSync(1, error.message)
  }
`

/** After these it must come to its end. */
const MOST_NUDGES = 20

t.test('a process that is stopped and continued goes on waiting for the kernel', async (t) => {
  const words = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', WAITING]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const stdout = child.stdout.setEncoding('utf8')
  const [first] = await once(stdout, 'data')
  const rest = text(stdout)
  let nudges = 0
  const nudging = setInterval(() => {
    child.kill('SIGSTOP')
    child.kill('SIGCONT')
    if (++nudges === MOST_NUDGES) clearInterval(nudging)
  }, 20)
  await ended
  clearInterval(nudging)
  t.match(`${first}${await rest}`, /^waiting recv: .*EAGAIN/)
})
