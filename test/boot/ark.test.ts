import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

/** In mount and process namespaces of its own the test can empty the root that it runs in. */
const skip = process.getuid?.() === 0 ? false : 'only root has mounts of its own'
const directory = t.testdir()

/** $1 is this repository, $2 Node, $3 the program: makes an initramfs of them and runs it there. */
const INITRAMFS = `
set -eu
# Of the program that runs the tests, for whom there is nothing in there.
unset NODE_OPTIONS
repository=$1 node=$2 program=$3
root=$(mktemp -d)
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p bin proc sys dev run etc tmp
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
for file in umount; do cp -L "$(command -v $file)" bin/; done
bring() { mkdir -p "./\${1%/*}" && cp -L "$1" "./$1"; }
cp -L "$node" bin/node
cp -L /bin/dash bin/sh
for file in $(ldd "$node" /bin/dash bin/umount | sed -n 's|.*[[:space:]]\\(/[^ ]*\\) (0x.*|\\1|p' | sort -u); do bring "$file"; done
mkdir repository
cp -r "$repository/src" "$repository/package.json" repository/
cp "$program" repository/program.ts
echo 'nameserver 192.0.2.1' >etc/resolv.conf
echo secret >etc/key
mkdir old
pivot_root . old
exec /bin/sh -c 'umount -l /old && exec /bin/node /repository/program.ts'
`

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
  const program = join(directory, 'program.ts')
  writeFileSync(program, PROGRAM)
  const unshare = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', INITRAMFS, 'sh']
  const { stdout, stderr } = spawnSync(
    'unshare',
    [...unshare, resolve('.'), process.execPath, program],
    { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
  )
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
