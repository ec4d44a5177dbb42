import type { Cache } from './cache.ts'
import { tree } from './tree.ts'

/** The Debian that machines start from over their network: servers, boot loaders and firmware. */
export function serverTree(cache: Cache): Promise<string> {
  return tree(cache, {
    name: 'server',
    suite: 'bookworm',
    packages: [
      ['nginx-light', 'dnsmasq-base'],
      ['grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin', 'ipxe', 'ovmf'],
    ].flat(),
    before: [],
    after: [],
  })
}
