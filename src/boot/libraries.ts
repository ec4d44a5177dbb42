import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** Where programs of each architecture say that their loader is. */
const LOADERS: Readonly<Record<string, string>> = {
  x64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
}

/** Each library that this process runs with, and the name under which the loader looks for it. */
export function ownLibraries(): (readonly [file: string, name: string])[] {
  const mapped = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/)[5] ?? '')
    .filter((path) => /\.so(?:\.|$)/.test(path))
  return [...new Set(mapped)].map((file) => [file, nameOf(file)] as const)
}

function nameOf(file: string): string {
  const loader = LOADERS[process.arch]
  if (basename(file).startsWith('ld-linux') && loader !== undefined) return loader
  return file.replace(/(\.so\.\d+)[^/]*$/, '$1')
}

/** The libraries of another program, as its loader finds them; none for one that needs none. */
export function librariesOf(program: string): string[] {
  const loader = LOADERS[process.arch]
  if (loader === undefined) return []
  try {
    const listed = execFileSync(loader, ['--list', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return [...listed.matchAll(/=> (\/\S+)/g)].map(([, path]) => path!)
  } catch {
    return []
  }
}
