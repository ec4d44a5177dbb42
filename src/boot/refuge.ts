import {
  cpSync,
  globSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { KernelRefused } from '../errors.ts'
import { bindMount, mountPoints, mountTmpfs, unmountLazily } from '../kernel/mounts.ts'
import { ownLibraries } from './libraries.ts'

/**
 * /run/initramfs, where systemd looks at the very end for something that takes the root apart once
 * nothing runs from it any more: netcow itself, with the libraries that it is linked with.
 *
 * It costs no memory. These files are those of the initramfs: the daemon runs from them, so they
 * stay in memory even when switch_root deletes them. Here they get second names (hard links) in a
 * directory of the initramfs that is mounted on /run/initramfs, and that switch_root cannot empty:
 *
 * - a file system mounted over it keeps out those that delete file by file and stay on their own
 *   file system: klibc, busybox, util-linux, systemd until 253;
 * - later ones of systemd take such mounts away first, but no file can be deleted that something is
 *   mounted on, and so everything is mounted on itself.
 *
 * The older ones show /run/initramfs without what is mounted in it, and complain of each mount that
 * they cannot make read-only. There are no symbolic links, because nothing can be mounted on one.
 */

export const REFUGE = '/run/initramfs'
/** In the initramfs. */
const PLACE = '/netcow'
/** Where the initramfs is seen as one file system, whatever is mounted or read-only in it. */
const WHOLE = '/run/netcow/initramfs'

const PROGRAM = '/shutdown'
/**
 * Where systemd puts what it takes along; from version 254 on it no longer makes them. What is a
 * mount point already it leaves as it is, so there is a file in each, which keeps the directory.
 */
const ROOMS = ['dev', 'proc', 'sys', 'run', 'oldroot']
const KEPT_BY = '.netcow'
/** Of dracut's rd.overlay: what is written to the root, which the kernel needs no name for. */
const OVERLAYFS = `${REFUGE}/overlay`

/**
 * Throws `KernelRefused` when this initramfs cannot keep it.
 *
 * @param unmountsFirst whether switch_root takes mounts away before it deletes the initramfs
 */
export function makeRefuge(unmountsFirst: boolean): void {
  if (mountPoints().some((point) => point.startsWith(REFUGE))) {
    throw new KernelRefused(`something is mounted on ${REFUGE} already`)
  }
  mkdirSync(WHOLE, { recursive: true })
  bindMount('/', WHOLE)
  try {
    const place = join(WHOLE, PLACE)
    fill(place)
    mkdirSync(REFUGE, { recursive: true })
    cpSync(REFUGE, place, { recursive: true, filter: (path) => path !== OVERLAYFS })
    for (const room of ROOMS) furnish(join(place, room))
    bindMount(place, REFUGE)
    if (unmountsFirst) for (const path of lasting(REFUGE)) bindMount(path, path)
    mountTmpfs(PLACE, 'size=4k')
  } finally {
    unmountLazily(WHOLE)
  }
}

/** From this version on systemd unmounts everything before it deletes the initramfs. */
const FIRST_TO_UNMOUNT = 254

/** Whether the switch_root that comes is that of such a systemd. */
export function switchRootUnmountsFirst(): boolean {
  if (readFileSync('/proc/1/comm', 'utf8') !== 'systemd\n') return false
  const libraries = globSync('/usr/lib{,64,/*}/systemd/libsystemd-shared-*.so')
  return libraries.some((path) => {
    return Number(/shared-(\d+)/.exec(basename(path))?.[1]) >= FIRST_TO_UNMOUNT
  })
}

function furnish(room: string): void {
  mkdirSync(room, { recursive: true })
  writeFileSync(join(room, KEPT_BY), '')
}

/** What must not be deleted: all files, and with them their directories. */
function lasting(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map(({ parentPath, name }) => join(parentPath, name))
}

/** Gives everything that netcow runs from a second name below `place`. */
function fill(place: string): void {
  for (const [file, name] of [
    [realpathSync(process.execPath), PROGRAM] as const,
    ...ownLibraries(),
  ]) {
    const target = join(place, name)
    mkdirSync(dirname(target), { recursive: true })
    secondName(join(WHOLE, file), target)
  }
}

function secondName(file: string, target: string): void {
  try {
    linkSync(file, target)
  } catch (cause) {
    // As with dracut's squash module: then the files are no pages of the initramfs.
    throw new KernelRefused('the initramfs has its programs on another file system', {
      where: { path: file },
      cause,
    })
  }
}
