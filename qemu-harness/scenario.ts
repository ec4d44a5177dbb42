import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { RangeServer } from '../test/fixtures/range-server.ts'
import type { Cache } from './cache.ts'
import type { ImageKind } from './image.ts'
import type { InitramfsKind } from './initramfs-kind.ts'
import type { DiskFormat } from './local-disk.ts'
import type { Machine } from './machine.ts'
import type { Tool } from './micro-initramfs.ts'
import type { NetworkStart } from './site.ts'
import type { BuilderSuite, Suite } from './tree.ts'

/**
 * A boot that is tried: its folder below scenarios/ names it, and exports it as `scenario` from
 * scenario.ts. A check.sh beside it runs in the guest as one more check, an early.sh in the
 * initramfs, just before it leaves for the root: early.log and early.exit beside them tell how.
 */
export interface Scenario {
  /** One line, without a full stop. */
  readonly description: string
  readonly image: ImageKind
  /** What the machine starts from, dracut unless said. */
  readonly initramfs?: InitramfsKind
  /** The Debian that brings kernel and initramfs, that of the image unless said. */
  readonly suite?: BuilderSuite
  /** Another scenario, whose check.sh and early.sh are run; its own unless said. */
  readonly like?: string
  /** Part of `npm test`; the others are tried by `npm run boots` alone. */
  readonly tested: boolean
  /** What the machine has, 1024 unless said. */
  readonly memoryMiB?: number
  /** The sizes of empty local disks, /dev/vda and so on; none unless said. */
  readonly disksMiB?: readonly number[]
  /** A first disk of this file system, with the image as a file in it; none unless said. */
  readonly localDisk?: DiskFormat
  /** When the machine is taken for hung; ten minutes unless said. */
  readonly deadlineMs?: number
  /**
   * The part of the kernel command line that is about the root, `root=netcow:URL` unless said;
   * `url` is the image's address.
   */
  words?(url: string): readonly string[]
  /** How the machine finds its kernel and the command line; QEMU gives both unless said. */
  readonly start?: NetworkStart
  /**
   * What is unusual about the server, and other servers, done before the machine starts; what it
   * returns is disposed of after the boot.
   */
  serve?(server: RangeServer): void | AsyncDisposable | Promise<void | AsyncDisposable>
  /** What the initramfs has besides, by path without a leading slash; asked for after `serve`. */
  files?(): Readonly<Record<string, string>>
  /** What happens while the machine boots. */
  meanwhile?(machine: Machine, server: RangeServer): Promise<void>
  /** Lines of the kernel that would be taken for a failure of the root elsewhere. */
  readonly complaints?: readonly RegExp[]
  /** What the console must say, each of it. */
  readonly says?: readonly RegExp[]
  readonly expects: Expectation
}

/**
 * A scenario without a distribution: init.sh in its folder is sourced by guest/micro.sh, with
 * busybox, the modules of the kernel and the tools at hand, and reports with `check` and `measure`; a
 * measure that begins with `ratio ` or `compared ` is kept in the result.
 * $url is the address of an image of one ext4 with busybox in it.
 */
export interface MicroScenario extends Pick<
  Scenario,
  | 'description'
  | 'tested'
  | 'memoryMiB'
  | 'disksMiB'
  | 'deadlineMs'
  | 'serve'
  | 'meanwhile'
  | 'complaints'
> {
  readonly kind: 'micro'
  /** The Debian whose kernel and tools they are. */
  readonly suite: Suite
  readonly tools?: readonly Tool[]
  /** Makes what is on the first disks, before the empty ones; nothing unless said. */
  disks?(cache: Cache): Promise<readonly string[]>
  /** What the kernel command line says beside `url=`, which is always there. */
  words?(url: string): readonly string[]
}

export type Expectation =
  /** The guest reaches multi-user, finds everything in order, and powers off. */
  | { readonly kind: 'boots' }
  /** It does so `times` in a row, but restarts in place of powering off. */
  | { readonly kind: 'reboots'; readonly times: number }
  /** The initramfs gives up with exactly one console line that matches, and no root is mounted. */
  | { readonly kind: 'refuses'; readonly line: RegExp }
  /** netcow, or the initramfs if it is told so, ends the machine in this way, and the console says why. */
  | {
      readonly kind: 'ends'
      readonly end: 'powered off' | 'restarted'
      readonly line: RegExp
      readonly by?: 'initramfs'
    }

/** Where the server has the image; `words` gets its whole address. */
export const IMAGE_PATH = '/image.qcow2'

const DIRECTORY = join(import.meta.dirname, 'scenarios')

export async function scenarioNames(): Promise<string[]> {
  const entries = await readdir(DIRECTORY, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

/** The scenario of the folder `name`, and its own scripts if it has any. */
export async function loadScenario(
  name: string,
): Promise<{ scenario: Scenario | MicroScenario; scripts: readonly string[] }> {
  const module: { scenario: Scenario | MicroScenario } = await import(
    pathToFileURL(join(DIRECTORY, name, 'scenario.ts')).href
  )
  const { scenario } = module
  const like = 'kind' in scenario ? undefined : scenario.like
  const directory = join(DIRECTORY, like ?? name)
  const files = await readdir(directory)
  const scripts = files.filter((file) => file.endsWith('.sh')).map((file) => join(directory, file))
  return { scenario, scripts }
}
