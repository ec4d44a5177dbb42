import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './command.ts'
import { HOST, type Start } from './qemu.ts'

/** What GRUB needs beyond what it always has: to fetch over HTTP and to start Linux. */
const MODULES = 'http tftp net linux normal echo serial terminal'
const SUBDIRECTORY = 'boot/grub'

export interface NetworkFiles {
  /** The port of the web server on this machine's loopback, and the paths there. */
  readonly port: number
  readonly kernel: string
  readonly initramfs: string
  readonly words: readonly string[]
}

/**
 * Starting without a kernel at hand: the card's boot ROM loads GRUB by TFTP from `directory`, which
 * this fills, and GRUB loads kernel and initramfs over HTTP.
 */
export async function networkStart(directory: string, files: NetworkFiles): Promise<Start> {
  const platform = '--directory=/usr/lib/grub/i386-pc'
  const target = [`--net-directory=${directory}`, `--subdir=${SUBDIRECTORY}`]
  await run(['grub-mknetdir', platform, ...target, `--modules=${MODULES}`])
  await writeFile(join(directory, SUBDIRECTORY, 'grub.cfg'), configuration(files))
  return { kind: 'network', tftp: directory, bootFile: `${SUBDIRECTORY}/i386-pc/core.0` }
}

function configuration({ port, kernel, initramfs, words }: NetworkFiles): string {
  const server = `(http,${HOST}:${port})`
  return [
    'serial',
    'terminal_output serial',
    'echo "GRUB: kernel and initramfs over HTTP"',
    `linux ${server}${kernel} ${words.map((word) => `'${word}'`).join(' ')}`,
    `initrd ${server}${initramfs}`,
    'boot',
    '',
  ].join('\n')
}
