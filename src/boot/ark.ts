import { copyFileSync, existsSync, mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { bindMount, bindTree, mountTmpfs } from '../kernel/mounts.ts'
import { makeRoot } from '../kernel/namespace.ts'
import { librariesOf, ownLibraries } from './libraries.ts'

/**
 * The root file system that the daemon of a root disk lives in, so that it has everything that it, or
 * the next one, will ever need when the initramfs is emptied: a directory in memory with the
 * executable, a shell and blkid with their libraries, /proc, /sys, /dev and /run, and what is
 * configured in /etc.
 *
 * It costs no memory but for its names. Files of the initramfs are mounted on empty files, and a file
 * that is mounted somewhere is there although switch_root deletes its name. All of it is in a mount
 * namespace that only the daemon is in: the system never sees it, and can unmount what it likes.
 */

const PLACE = '/.netcow'
/** Where programs are in the ark. The name of the executable becomes the first word of the daemon. */
const PROGRAMS = '/bin'
export const DAEMON = '@netcow'

/**
 * busybox, which may be behind any name, looks at the last part of its first word to know what it
 * is; other shells do not care.
 */
const SHELL = '@/sh'

/** Shown as they are, with everything that is mounted there. */
const TREES = ['/proc', '/sys', '/dev', '/run']
/** Names and certificates, as far as they are there. */
const CONFIGURATION = [
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/nsswitch.conf',
  '/etc/ld.so.cache',
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/ssl/cert.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
]
/** Helpers of the daemon. */
const HELPERS = ['/usr/sbin/blkid', '/sbin/blkid', '/usr/bin/blkid']

/** How the shell is started in the ark. */
export interface Shell {
  readonly path: string
  readonly argv0: string
}

/** What goes into the ark, as files of the initramfs and their names in the ark. */
export interface Cargo {
  readonly shown: readonly (readonly [file: string, name: string])[]
  readonly copied: readonly string[]
  readonly shell: Shell
}

/**
 * Looks for everything that is needed, before anything is mounted.
 *
 * @param needed files that the daemon was told to read
 */
export function gather(needed: readonly string[]): Cargo {
  const shell = realpathSync('/bin/sh')
  const helper = HELPERS.find((path) => existsSync(path))
  const programs = [shell, ...(helper === undefined ? [] : [helper])]
  const libraries = programs.flatMap(librariesOf).map((file) => [file, file] as const)
  return {
    shown: [
      [process.execPath, join(PROGRAMS, DAEMON)],
      ...programs.map((file) => [file, join(PROGRAMS, basename(file))] as const),
      ...ownLibraries(),
      ...libraries,
      ...needed.filter((file) => existsSync(file)).map((file) => [file, file] as const),
    ],
    copied: CONFIGURATION.filter((file) => existsSync(file)),
    shell: { path: join(PROGRAMS, basename(shell)), argv0: SHELL },
  }
}

/**
 * Makes the ark and moves this thread into it; to be called in a mount namespace of its own. Throws
 * `KernelRefused`.
 */
export function enterArk({ shown, copied }: Cargo): void {
  mkdirSync(PLACE, { recursive: true })
  mountTmpfs(PLACE, 'size=1m,mode=755')
  for (const tree of TREES) {
    mkdirSync(join(PLACE, tree))
    bindTree(tree, join(PLACE, tree))
  }
  for (const [file, name] of shown) show(file, name)
  for (const file of copied) keep(file)
  mkdirSync(join(PLACE, 'tmp'))
  makeRoot(PLACE)
}

/** Mounts a file of the initramfs on one of the ark. */
function show(file: string, name: string): void {
  const target = join(PLACE, name)
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, '')
  bindMount(realpathSync(file), target)
}

/** Small files are copied: they may be written anew where they lie. */
function keep(file: string): void {
  if (statSync(file).size > 64 * 1024) return show(file, file)
  const target = join(PLACE, file)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(file, target)
}
