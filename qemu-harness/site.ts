import { readFileSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Traffic } from '../test/fixtures/range-server.ts'
import type { Cache } from './cache.ts'
import { asRoot, runAsRoot } from './command.ts'
import { Companion } from './companion.ts'
import type { BootFiles } from './initramfs.ts'
import type { Start } from './qemu.ts'
import { serverTree } from './server-tree.ts'

/** How a machine without a disk and without a kernel finds one. */
export interface NetworkStart {
  readonly firmware: 'bios' | 'uefi'
  /** What the firmware loads: GRUB, which goes on over HTTP or TFTP, or iPXE with a script. */
  readonly loader: keyof typeof LOADERS
  /** A second card comes first on the bus, and its network leads nowhere. */
  readonly secondCard?: boolean
}

/** The files of examples/ that a loader needs, and where below the server's folder one of them lies. */
const LOADERS = {
  grub: { dnsmasq: 'dnsmasq-grub.conf', script: 'grub.cfg', at: 'boot/grub/grub.cfg' },
  'grub-tftp': { dnsmasq: 'dnsmasq-grub.conf', script: 'grub-tftp.cfg', at: 'boot/grub/grub.cfg' },
  // The image is named by the DHCP server.
  'grub-dhcp': { dnsmasq: 'dnsmasq-grub.conf', script: 'grub-dhcp.cfg', at: 'boot/grub/grub.cfg' },
  ipxe: { dnsmasq: 'dnsmasq-ipxe.conf', script: 'boot.ipxe', at: 'boot.ipxe' },
} as const

/** The words before a program that give it a network of its own. */
export const NAMESPACE = ['unshare', ...(isRoot() ? [] : ['--map-root-user']), '--net']

const EXAMPLES = join(import.meta.dirname, 'examples')
const SERVER = join(import.meta.dirname, 'server')
/** Where the examples have the image. */
const IMAGE_PATH = '/debian.qcow2'

/**
 * A network of its own with a Debian server in it, whose nginx and dnsmasq are set up by the
 * examples that users copy, word for word, addresses included.
 */
export class Site implements AsyncDisposable {
  readonly start: Start
  readonly #network: Companion
  readonly #server: Companion
  readonly #directory: string

  /** `directory` is empty, and the site's own until it is closed. */
  static async open(
    cache: Cache,
    wanted: NetworkStart,
    files: BootFiles & { readonly image: string },
    directory: string,
  ): Promise<Site> {
    const tree = await serverTree(cache)
    await fill(directory, wanted, files)
    const network = await Companion.start([...NAMESPACE, 'sh', join(SERVER, 'network.sh')])
    try {
      const inNetwork = ['nsenter', `--net=/proc/${network.pid}/ns/net`]
      const spaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child']
      const serve = ['sh', join(SERVER, 'serve.sh'), tree, directory, files.image, EXAMPLES]
      const { dnsmasq } = LOADERS[wanted.loader]
      const server = await Companion.start(asRoot([...inNetwork, ...spaces, ...serve, dnsmasq]))
      return new Site(network, server, directory, {
        kind: 'network',
        enter: isRoot() ? inNetwork : [...inNetwork, ...asUser(network.pid)],
        ...(wanted.firmware === 'uefi' && { firmware: join(tree, 'usr/share/ovmf/OVMF.fd') }),
        secondCard: wanted.secondCard ?? false,
      })
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor(network: Companion, server: Companion, directory: string, start: Start) {
    this.start = start
    this.#network = network
    this.#server = server
    this.#directory = directory
  }

  /** What nginx was asked for of the image so far, by its log. */
  traffic(): Traffic {
    const total = { requests: 0, bytes: 0 }
    for (const line of readFileSync(join(this.#directory, 'logs/access.log'), 'utf8').split('\n')) {
      const [, path, bytes] = /"GET (\S+) [^"]*" 20[06] (\d+)/.exec(line) ?? []
      if (path !== IMAGE_PATH) continue
      total.requests++
      total.bytes += Number(bytes)
    }
    return total
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    await this.#network[Symbol.asyncDispose]()
    // Some of it is root's.
    await runAsRoot(['rm', '-rf', join(this.#directory, 'served'), join(this.#directory, 'logs')])
  }
}

/** What the server has and serves, but for the image and what belongs to its own system. */
async function fill(
  directory: string,
  { loader }: NetworkStart,
  { kernel, initramfs }: BootFiles,
): Promise<void> {
  const { script, at } = LOADERS[loader]
  const folder = join(directory, 'served')
  await mkdir(join(folder, 'boot/grub'), { recursive: true })
  await mkdir(join(directory, 'logs'))
  await copyFile(kernel, join(folder, 'vmlinuz'))
  await copyFile(initramfs, join(folder, 'initramfs.img'))
  await copyFile(join(EXAMPLES, script), join(folder, at))
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** A network that a user made belongs to a user namespace, which comes first. */
function asUser(pid: number): string[] {
  return [`--user=/proc/${pid}/ns/user`, '--preserve-credentials']
}
