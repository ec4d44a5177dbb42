import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * Gives the initramfs a resolv.conf. Its network was set up by whatever the distribution chose, and
 * some of these keep the name servers of their lease to themselves.
 */

const RESOLV_CONF = '/etc/resolv.conf'

/** Where network handlers leave their name servers, and how they spell them. */
const LEASES: readonly (readonly [files: string, spelling: RegExp])[] = [
  // systemd-networkd
  ['/run/systemd/netif/leases/*', /^DNS=(.*)$/gm],
  // ipconfig of klibc, in initramfs-tools
  ['/run/net-*.conf', /^IPV[46]DNS\d='?([^'\n]*)'?$/gm],
  // NetworkManager
  ['/run/NetworkManager/resolv.conf', /^nameserver[ \t]+(.*)$/gm],
]

/** The resolver of libc asks three and ignores the rest (resolv.conf(5)). */
const MOST_SERVERS = 3

/** Writes resolv.conf from the leases, unless something has written one. */
export function provideNameServers(): void {
  if (existsSync(RESOLV_CONF) && /^nameserver\b/m.test(readFileSync(RESOLV_CONF, 'utf8'))) return
  const servers = LEASES.flatMap(([files, spelling]) =>
    globSync(files).flatMap((file) => nameServersIn(readFileSync(file, 'utf8'), spelling)),
  )
  if (servers.length === 0) return
  const lines = [...new Set(servers)]
    .slice(0, MOST_SERVERS)
    .map((server) => `nameserver ${server}\n`)
  writeFileSync(RESOLV_CONF, lines.join(''))
}

function nameServersIn(text: string, spelling: RegExp): string[] {
  return [...text.matchAll(spelling)]
    .flatMap(([, words = '']) => words.trim().split(/\s+/))
    .filter((word) => /^[\da-fA-F.:]+(%\w+)?$/.test(word) && word !== '0.0.0.0')
}
