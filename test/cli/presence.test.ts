import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/** $1 is the repository, $2 Node, $3 a program: runs it where /run is full, or can be written to. */
const MACHINE = `
set -e
mount -t tmpfs -o "$4" tmpfs /run
cd "$1"
exec "$2" --disable-warning=ExperimentalWarning --input-type=module --eval "$3"
`

/** Takes over a device, which is in use, and says what became of it. */
const RESUMES = `
  import { existsSync, readdirSync, statSync } from 'node:fs'
  import { appear } from './src/cli/presence.ts'
  import { readResumeRecord } from './src/cli/run-files.ts'
  const said = []
  const destinations = () => new Map([['http://a/stable', new URL('http://b/1?signature=x')]])
  const served = { access: 'read-only', source: { size: 4096 }, identities: ['x'], destinations }
  const before = { argv: [], directory: '/', index: 0, identities: ['x'], attachedAtUptimeMs: 1 }
  const plan = { image: { kind: 'memory', sizeBytes: 4096 } }
  const log = { write: (_level, line) => line.startsWith('/dev/nbd0') && said.push(line) }
  const presence = await appear(0, { plan, served, before, argv: [], directory: '/', log })
  const folders = ['/run/netcow', '/run/sendsigs.omit.d'].filter((folder) => existsSync(folder))
  const files = () => folders.flatMap((folder) => readdirSync(folder).sort())
  console.log(JSON.stringify({ said, files: files() }))
  if (said.length === 0) {
    console.log(JSON.stringify(readResumeRecord(0).destinations))
    console.log(JSON.stringify(statSync('/run/netcow/nbd0.resume').mode & 0o777))
  }
  presence[Symbol.dispose]()
  console.log(JSON.stringify(files()))
  process.exit()
`

async function resumed(options: string): Promise<unknown[]> {
  const unshare = ['--mount', 'sh', '-c', MACHINE, 'sh']
  const words = [resolve('.'), process.execPath, RESUMES, options]
  const { stdout } = await promisify(execFile)('unshare', [...unshare, ...words])
  return stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
}

const skip = process.getuid?.() === 0 ? false : 'only root may mount'

t.test('a device that was taken over can be asked about', { skip }, async (t) => {
  t.strictSame(await resumed('size=1m'), [
    { said: [], files: ['nbd0.json', 'nbd0.resume', 'nbd0.sock', 'netcow-nbd0'] },
    { 'http://a/stable': 'http://b/1?signature=x' },
    0o600,
    [],
  ])
})

t.test('it is served also where nothing can be written to /run', { skip }, async (t) => {
  const [first] = await resumed('nr_inodes=1')
  t.match(first, {
    said: [/is served, but cannot be asked about: ENOSPC/],
    files: [],
  })
})
