import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { packages } from '../../build/package.ts'
import { ownArchitecture } from '../../build/node-binary.ts'
import manifest from '../../package.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')
const run = (...[command = '', ...args]: readonly string[]) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** What the hooks of this repository are like in a system, by where they are here. */
const HOOKS = [
  ['dracut/90netcow', 'usr/lib/dracut/modules.d/90netcow'],
  ['initramfs-hooks/initramfs-tools/hooks', 'usr/share/initramfs-tools/hooks'],
  ['initramfs-hooks/initramfs-tools/scripts', 'usr/share/initramfs-tools/scripts'],
] as const

test('the package and the archive', async (t) => {
  const directory = t.testdir()
  const [debian = '', archive = ''] = await packages(ownArchitecture(), directory)

  await t.test('dpkg installs the one, and finds it as it should be', async (t) => {
    const system = join(directory, 'system')
    mkdirSync(join(system, 'var/lib/dpkg/info'), { recursive: true })
    mkdirSync(join(system, 'var/lib/dpkg/updates'))
    writeFileSync(join(system, 'var/lib/dpkg/status'), '')
    // What it depends on is not in an empty system, and perhaps we are not root.
    const force = ['--force-depends', '--force-not-root', '--force-script-chrootless']
    const dpkg = (...words: string[]) =>
      run('dpkg', `--root=${system}`, '--log=/dev/null', ...force, ...words)
    dpkg('--install', debian)
    t.equal(dpkg('--verify', 'netcow'), '')
    t.match(dpkg('--status', 'netcow'), `Version: ${manifest.version}`)
    t.equal(run(join(system, 'usr/bin/netcow'), '--version'), `netcow ${manifest.version}\n`)
    for (const [here, there] of HOOKS) {
      for (const name of readdirSync(join(root, here), { recursive: true, encoding: 'utf8' })) {
        const runs = (path: string) => statSync(path).mode & 0o111
        t.equal(runs(join(system, there, name)) > 0, runs(join(root, here, name)) > 0, name)
      }
    }
    dpkg('--remove', 'netcow')
    t.notOk(existsSync(join(system, 'usr/lib/dracut')))
  })

  await t.test('all in the other belongs to root and lies in /usr', async (t) => {
    const lines = run('tar', '-tvzf', archive).trimEnd().split('\n')
    t.ok(lines.every((line) => /^[d-]rw[x-]r-[x-]r-[x-] root\/root .* usr\//.test(line)))
    for (const hook of ['install', 'hooks'])
      t.ok(lines.some((line) => line.endsWith(` usr/lib/initcpio/${hook}/netcow`)))
  })
})
