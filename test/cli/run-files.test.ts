import { execFileSync } from 'node:child_process'
import t from 'tap'

const root = process.getuid?.() === 0

/** In a /run of its own, as somebody whose umask keeps others out. */
const PRIVATELY = 'mount -t tmpfs netcow /run && umask 077 && "$1" --input-type=module -e "$2"'
const SCRIPT = `
  import { statSync } from 'node:fs'
  import { makeRunDirectory, writeFacts, writeResumeRecord } from './src/cli/run-files.ts'
  makeRunDirectory()
  writeFacts(3, { pid: 1 })
  writeResumeRecord({ index: 3 })
  const modes = ['', '/nbd3.json', '/nbd3.resume'].map((name) => statSync('/run/netcow' + name).mode)
  console.log(JSON.stringify(modes.map((mode) => (mode & 0o777).toString(8))))`

t.test(
  'what is for everyone to read is, whatever the umask of root',
  { skip: root ? false : 'needs root' },
  async (t) => {
    const argv = ['--mount', 'sh', '-c', PRIVATELY, 'sh', process.execPath, SCRIPT]
    const modes: unknown = JSON.parse(execFileSync('unshare', argv, { encoding: 'utf8' }))
    t.strictSame(modes, ['755', '644', '600'])
  },
)
