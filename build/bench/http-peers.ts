/** The servers that are compared; the first is the one that the others are measured against. */
export const HTTP_PEERS = [
  'netcow',
  'qemu-nbd',
  'nbdkit',
  'nbdkit-cache',
  'nbdkit-readahead',
] as const
export type HttpPeer = (typeof HTTP_PEERS)[number]

export interface ServedUrl {
  readonly url: string
  /** Within `tree`. */
  readonly socket: string
  readonly netcow: string
  readonly tree: string
}

const CACHE = ['--filter=cache']
const CACHE_WORDS = ['cache-on-read=true']

/**
 * The command that serves an image of a web server on a Unix socket. nbdkit decodes above whatever
 * caches; its readahead needs a cache below it to read into.
 */
export function httpServerCommand(peer: HttpPeer, served: ServedUrl): readonly string[] {
  const { url, socket, netcow, tree } = served
  const within = socket.slice(tree.length)
  const nbdkit = (filters: readonly string[], words: readonly string[]) =>
    [
      ['chroot', tree, 'nbdkit', '--foreground', '--readonly', '--unix', within],
      ['--filter=qcow2dec', filters, 'curl', `url=${url}`, words].flat(),
    ].flat()
  switch (peer) {
    case 'netcow':
      return [netcow, 'serve', url, '--socket', socket]
    case 'qemu-nbd':
      return [
        ['chroot', tree, 'qemu-nbd', '--persistent', '--read-only', '--format=qcow2'],
        [`--socket=${within}`, url],
      ].flat()
    case 'nbdkit':
      return nbdkit([], [])
    case 'nbdkit-cache':
      return nbdkit(CACHE, CACHE_WORDS)
    case 'nbdkit-readahead':
      return nbdkit(['--filter=readahead', ...CACHE], CACHE_WORDS)
  }
}
