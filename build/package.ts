import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, globSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { chmodSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, wantedArchitecture } from './build.ts'
import { writeManual } from './manual.ts'
import type { Architecture } from './node-binary.ts'
import manifest from '../package.json' with { type: 'json' }

/**
 * Packs the executable, the hooks and the manual where a system looks for them: for Debian and its
 * kin, and as an archive of / for the others.
 *
 *     npm run package [-- --arch arm64]
 */

const root = resolve(import.meta.dirname, '..')
/** What Debian and everybody else call the architectures. */
const DEBIAN = { x64: 'amd64', arm64: 'arm64' } as const
const KERNEL = { x64: 'x86_64', arm64: 'aarch64' } as const

/** What is where in a system; folders with all that is in them. */
const EVERYWHERE = {
  'dracut/90netcow': 'usr/lib/dracut/modules.d/90netcow',
  'initramfs-hooks/initramfs-tools': 'usr/share/initramfs-tools',
  'qemu-harness/examples': 'usr/share/doc/netcow/examples',
  LICENSE: 'usr/share/doc/netcow/copyright',
  'README.md': 'usr/share/doc/netcow/README.md',
  'CHANGELOG.md': 'usr/share/doc/netcow/changelog',
} as const
/** Debian has no mkinitcpio. */
const ELSEWHERE = { 'initramfs-hooks/mkinitcpio': 'usr/lib/initcpio' } as const

/** The least that Node's own executables are linked with. */
const DEPENDS = 'libc6 (>= 2.28), libstdc++6 (>= 5), libatomic1'

/** Makes the package and the archive in `directory` and returns their paths. */
export async function packages(architecture: Architecture, directory: string): Promise<string[]> {
  const executable = await build(architecture)
  mkdirSync(directory, { recursive: true })
  const work = mkdtempSync(join(directory, 'package-'))
  try {
    const tree = join(work, 'tree')
    await fill(tree, executable)
    const debian = debianPackage(tree, architecture, directory)
    place(tree, ELSEWHERE)
    return [...debian, archive(tree, architecture, directory)]
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** Where there is no dpkg, nobody has a use for it. */
function debianPackage(tree: string, architecture: Architecture, directory: string): string[] {
  if (spawnSync('dpkg-deb', ['--version']).status !== 0) return []
  const path = join(directory, `netcow_${manifest.version}_${DEBIAN[architecture]}.deb`)
  writeControl(tree, architecture)
  // dpkg reads zstd since Debian 12 and Ubuntu 18.04.
  const options = ['--root-owner-group', '-Zzstd', '-z9', '--build']
  execFileSync('dpkg-deb', [...options, tree, path], { stdio: ['ignore', 'ignore', 'inherit'] })
  rmSync(join(tree, 'DEBIAN'), { recursive: true })
  return [path]
}

function archive(tree: string, architecture: Architecture, directory: string): string {
  const name = `netcow-${manifest.version}-linux-${KERNEL[architecture]}.tar.gz`
  const path = join(directory, name)
  const owner = ['--owner=root:0', '--group=root:0', '--sort=name']
  execFileSync('tar', ['-czf', path, ...owner, '-C', tree, 'usr'])
  return path
}

async function fill(tree: string, executable: string): Promise<void> {
  copy(executable, join(tree, 'usr/bin/netcow'))
  place(tree, EVERYWHERE)
  const manual = join(tree, 'usr/share/man')
  await writeManual(manual, manifest.version)
  for (const page of globSync('man*/*', { cwd: manual })) {
    const path = join(manual, page)
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }))
    rmSync(path)
  }
}

function place(tree: string, places: Readonly<Record<string, string>>): void {
  for (const [from, to] of Object.entries(places)) copy(join(root, from), join(tree, to))
}

/** Modes as a package has them, whatever the umask of the checkout was. */
function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to, { recursive: true })
  for (const path of [to, ...globSync(join(to, '**'))]) {
    const stats = lstatSync(path)
    chmodSync(path, stats.isDirectory() || (stats.mode & 0o100) !== 0 ? 0o755 : 0o644)
  }
}

function writeControl(tree: string, architecture: Architecture): void {
  const bytes = globSync(join(tree, '**'))
    .map((path) => lstatSync(path))
    .reduce((sum, stats) => sum + (stats.isFile() ? stats.size : 0), 0)
  const fields = {
    Package: 'netcow',
    Version: manifest.version,
    Architecture: DEBIAN[architecture],
    Maintainer: 'the netcow authors <netcow@localhost>',
    'Installed-Size': `${Math.ceil(bytes / 1024)}`,
    Depends: DEPENDS,
    Suggests: 'dracut | initramfs-tools',
    Section: 'admin',
    Priority: 'optional',
    Description: [
      manifest.description,
      ' The executable, and what makes dracut and initramfs-tools put it into an initramfs.',
    ].join('\n'),
  }
  const text = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
  const control = join(tree, 'DEBIAN/control')
  mkdirSync(dirname(control), { recursive: true })
  writeFileSync(control, text.join(''))
  for (const path of [tree, dirname(control)]) chmodSync(path, 0o755)
  chmodSync(control, 0o644)
}

if (import.meta.main) {
  const made = await packages(wantedArchitecture(), join(root, 'dist'))
  for (const path of made) console.log(path)
}
