import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** What there are npm packages of Node for. */
export const ARCHITECTURES = ['x64', 'arm64'] as const
export type Architecture = (typeof ARCHITECTURES)[number]

const root = resolve(import.meta.dirname, '..')
/** What GNU calls the architectures, in the names of its programs. */
const GNU = { x64: 'x86_64', arm64: 'aarch64' } as const

/** The one that this program runs on. */
export function ownArchitecture(): Architecture {
  const own = ARCHITECTURES.find((name) => name === process.arch)
  if (own === undefined) throw new Error(`there is no pinned Node for ${process.arch}`)
  return own
}

/** Copies the pinned Node of `architecture` to `path`, without its symbols: a fifth of it. */
export function strippedNode(architecture: Architecture, path: string): void {
  copyFileSync(pinnedNode(architecture), path)
  const own = architecture === ownArchitecture()
  const strip = own ? 'strip' : `${GNU[architecture]}-linux-gnu-strip`
  try {
    execFileSync(strip, [path])
  } catch (cause) {
    const name = `binutils-${GNU[architecture].replace('_', '-')}-linux-gnu`
    throw new Error(`${strip} is needed: the Debian package ${own ? 'binutils' : name} has it`, {
      cause,
    })
  }
}

/** npm installs only this machine's own; the other comes from the same lock file, once. */
function pinnedNode(architecture: Architecture): string {
  const file = `node_modules/node-linux-${architecture}/bin/node`
  if (architecture === ownArchitecture()) return join(root, file)
  const prefix = join(root, `dist/node-${architecture}`)
  if (existsSync(join(prefix, file))) return join(prefix, file)
  rmSync(prefix, { recursive: true, force: true })
  mkdirSync(prefix, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(join(root, name), join(prefix, name))
  }
  const target = ['--os=linux', `--cpu=${architecture}`]
  const args = ['ci', '--omit=dev', '--include=optional', '--ignore-scripts', '--loglevel=error']
  execFileSync('npm', [...args, ...target], { cwd: prefix, stdio: ['ignore', 'ignore', 'inherit'] })
  return join(prefix, file)
}
