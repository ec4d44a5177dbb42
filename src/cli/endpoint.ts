import { existsSync, lstatSync, unlinkSync } from 'node:fs'
import { type Server, connect } from 'node:net'
import { dirname } from 'node:path'
import { UsageError } from '../errors.ts'
import type { Options } from './options.ts'

/** Where clients of `netcow serve` find it. */
export type Endpoint =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'activated' }
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3

/** The one place that the user chose. Throws `UsageError` for none and for several. */
export function endpointOf({ socket, listen, stdio }: Options): Endpoint {
  const endpoints: Endpoint[] = []
  if (stdio) endpoints.push({ kind: 'stdio' })
  if (socket !== undefined) endpoints.push({ kind: 'socket', path: socket })
  if (listen !== undefined) endpoints.push({ kind: 'tcp', ...listen })
  if (process.env['LISTEN_PID'] === `${process.pid}`) {
    const { LISTEN_FDS: count = 'none' } = process.env
    if (count !== '1') {
      throw new UsageError(`the service manager has to hand over one socket, not ${count}`)
    }
    endpoints.push({ kind: 'activated' })
  }
  const [endpoint, second] = endpoints
  if (endpoint === undefined || second !== undefined) {
    throw new UsageError('serve needs exactly one of --socket, --listen and --stdio')
  }
  return endpoint
}

/** Listens; resolves with the address as an NBD URI, or words for the socket of a service manager. */
export async function listen(
  server: Server,
  endpoint: Exclude<Endpoint, { kind: 'stdio' }>,
  options: { readonly secure: boolean; readonly name: string },
): Promise<string> {
  const scheme = options.secure ? 'nbds' : 'nbd'
  const name = encodeURIComponent(options.name)
  switch (endpoint.kind) {
    case 'activated':
      await listening(server, () => server.listen({ fd: LISTEN_FDS_START }))
      return 'the socket of the service manager'
    case 'socket': {
      const { path } = endpoint
      requireName(path)
      await removeStale(path)
      await listening(server, () => {
        // The socket is made within the call, and nobody else may have it even for a moment.
        const before = process.umask(0o177)
        server.listen({ path })
        process.umask(before)
      })
      return `${scheme}+unix:///${name}?socket=${encodeURIComponent(path).replaceAll('%2F', '/')}`
    }
    case 'tcp': {
      // Without a host it is every address, of IPv6 where there is that, or else of IPv4.
      const host = endpoint.host === '' ? undefined : endpoint.host
      await listening(server, () => server.listen({ host, port: endpoint.port }))
      const address = server.address()
      const bound = typeof address === 'object' && address !== null ? address : undefined
      const shown = host ?? bound?.address ?? ''
      // The zone of a link-local address is set apart as RFC 6874 has it.
      const literal = shown.includes(':') ? `[${shown.replace('%', '%25')}]` : shown
      return `${scheme}://${literal}:${bound?.port ?? endpoint.port}/${name}`
    }
  }
}

async function listening(server: Server, listen: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('listening', resolve)
  server.once('error', (error: NodeJS.ErrnoException) => {
    const advice =
      error.code === 'EADDRINUSE' ? 'end what listens there or choose another' : 'choose another'
    reject(new UsageError(`cannot listen: ${error.message}`, { advice, cause: error }))
  })
  listen()
  return promise
}

/** The longest name of a socket that the kernel knows (unix(7)). */
const MOST_NAME_BYTES = 107

/** What Node says of these is not what is wrong. Throws `UsageError`. */
function requireName(path: string): void {
  const folder = dirname(path)
  if (Buffer.byteLength(path) > MOST_NAME_BYTES) {
    throw new UsageError(
      `cannot listen: the name of a socket has at most ${MOST_NAME_BYTES} bytes`,
      {
        where: { path },
      },
    )
  }
  if (!existsSync(folder)) {
    throw new UsageError('cannot listen: there is no such folder', { where: { path: folder } })
  }
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new UsageError('cannot listen: there is something else than a socket', {
      where: { path },
      advice: 'choose another',
    })
  }
}

/** Removes the socket that a server left behind that was killed: one that nobody answers. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found?.isSocket() || (await answers(path))) return
  // What has taken its place meanwhile is somebody's.
  const now = lstatSync(path, { throwIfNoEntry: false })
  if (now?.ino === found.ino && now.ctimeMs === found.ctimeMs) unlinkSync(path)
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(path)
  socket.once('connect', () => resolve(true))
  // Only this one says that nobody listens; a full queue, for example, does not.
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  return promise.finally(() => socket.destroy())
}
