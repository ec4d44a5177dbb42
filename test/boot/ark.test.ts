import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { inInitramfs } from '../fixtures/initramfs.ts'

/** In mount and process namespaces of its own the test can empty the root that it runs in. */
const skip = process.getuid?.() === 0 ? false : 'only root has mounts of its own'
const directory = t.testdir({
  files: { etc: { 'resolv.conf': 'nameserver 192.0.2.1\n', key: 'secret\n' }, repository: {} },
  run: {},
})

/** Runs in the initramfs: sails an ark, empties the initramfs as switch_root does, and says go. */
const PROGRAM = `
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { enterArk, gather } from './src/boot/ark.ts'
import { inPrivateMounts } from './src/kernel/namespace.ts'

process.removeAllListeners('warning')
const script = \`
read -r go
echo "key: $(while read -r line; do echo "$line"; done </etc/key)"
echo "names: $(while read -r line; do echo "$line"; done </etc/resolv.conf)"
@netcow -p '"node: " + process.argv0 + " " + process.memoryUsage.rss().constructor.name'
[ -e /run/sign ] && echo 'run is the same'
[ ! -e /repository ] && echo 'nothing else'
echo "<7>netcow: a test of the ark" >/dev/null && echo 'devices'
\`
const cargo = gather(['/etc/key'])
const { path, argv0 } = cargo.shell
const child = inPrivateMounts(() => {
  enterArk(cargo)
  return spawn(path, ["-c", script], {
    argv0, cwd: '/', stdio: ['pipe', 'inherit', 'inherit'], env: { PATH: '/bin' },
  })
})
const mounted = readdirSync('/.netcow')
for (const name of readdirSync('/')) {
  if (!['proc', 'sys', 'dev', 'run'].includes(name)) rmSync('/' + name, { recursive: true })
}
console.log('seen from outside:', mounted.length, existsSync('/bin/node'))
writeFileSync('/run/sign', '')
child.stdin.end('go\\n')
await once(child, 'exit')
`

t.test('what is in the ark works when the initramfs has been emptied', { skip }, async (t) => {
  const files = join(directory, 'files')
  writeFileSync(join(files, 'repository/program.ts'), PROGRAM)
  const [unshare = '', ...words] = inInitramfs(
    files,
    join(directory, 'run'),
    '/repository/program.ts',
  )
  const { stdout, stderr } = spawnSync(unshare, words, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  const said = stdout.trim().split('\n')
  t.strictSame(
    said,
    [
      'seen from outside: 0 false',
      'key: secret',
      'names: nameserver 192.0.2.1',
      'node: @netcow Number',
      'run is the same',
      'nothing else',
      'devices',
    ],
    stderr,
  )
  t.notOk(execFileSync('ls', ['-A', '/'], { encoding: 'utf8' }).includes('.netcow'))
})
