/** The servers that are compared; the first is the one that the others are measured against. */
export const PEERS = ['netcow', 'qemu-nbd', 'nbdkit'] as const
export type Peer = (typeof PEERS)[number]

export interface ServedFile {
  /** A raw image if it ends so, else QCOW2; within `tree`, as the socket. */
  readonly path: string
  readonly socket: string
  /** Writes go to an overlay that ends with the server. */
  readonly writable: boolean
  readonly netcow: string
  /** What netcow's `--cache` says. */
  readonly cache: string
  readonly tree: string
}

/** The command that serves a file on a Unix socket, each with its defaults but for `cache`. */
export function serverCommand(peer: Peer, file: ServedFile): readonly string[] {
  const { path, socket, writable, netcow, cache, tree } = file
  const format = path.endsWith('.raw') ? 'raw' : 'qcow2'
  const within = (path: string) => path.slice(tree.length)
  switch (peer) {
    case 'netcow':
      return [
        [netcow, 'serve', path, '--format', format, '--socket', socket, '--cache', cache],
        writable ? ['--overlay', 'memory:1G'] : [],
      ].flat()
    case 'qemu-nbd':
      return [
        ['chroot', tree, 'qemu-nbd', '--persistent', '--shared=16', `--format=${format}`],
        [writable ? '--snapshot' : '--read-only', `--socket=${within(socket)}`, within(path)],
      ].flat()
    case 'nbdkit':
      return [
        ['chroot', tree, 'nbdkit', '--foreground', '--unix', within(socket)],
        writable ? ['--filter=cow'] : ['--readonly'],
        format === 'qcow2' ? ['--filter=qcow2dec'] : [],
        ['file', within(path)],
      ].flat()
  }
}
