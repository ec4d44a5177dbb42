import { type Server, Socket, createServer } from 'node:net'
import { UsageError } from '../../errors.ts'
import { NbdServer, serveAlone } from '../../nbd/server.ts'
import { openForUse } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import type { Options } from '../options.ts'
import { asking } from '../passphrase.ts'
import { devicePlan } from '../plan.ts'
import { formatSize } from '../size.ts'
import { type Terminal, lineOf } from '../terminal.ts'

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3
/** A quarter of what most machines have; a client gets ENOSPC beyond it. */
const OVERLAY_BYTES = 2 ** 30

export const serve: Command = {
  name: 'serve',
  summary: 'serve an image to NBD clients',
  operands: ['IMAGE'],
  options: ['socket', 'listen', 'stdio', 'overlay', 'read-only', 'sector-size', ...IMAGE_OPTIONS],
  run: runServe,
}

async function runServe({ operands: [image = ''], options, terminal }: Call): Promise<number> {
  const where = placeOf(options)
  const plan = await devicePlan(image, options, {
    whenFull: 'fail',
    defaultOverlayBytes: OVERLAY_BYTES,
  })
  const served = await openForUse(asking(plan, terminal), (line) => terminal.say('warn', line))
  await using _source = served.source
  const report = (error: unknown) => terminal.say('error', lineOf(error))
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  if (where.kind === 'stdio') {
    await serveAlone(new Socket({ fd: 0 }), served, report, stop.signal)
    return 0
  }
  const server = createServer()
  const nbd = new NbdServer(server, served, report)
  const address = await listen(server, where)
  announce(terminal, address, served.access, served.source.size)
  await new Promise((resolve) => {
    if (stop.signal.aborted) resolve(undefined)
    stop.signal.addEventListener('abort', resolve, { once: true })
  })
  await nbd.close()
  return 0
}

type Place =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'activated' }
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

function placeOf({ socket, listen, stdio }: Options): Place {
  const places: Place[] = []
  if (stdio) places.push({ kind: 'stdio' })
  if (socket !== undefined) places.push({ kind: 'socket', path: socket })
  if (listen !== undefined) places.push({ kind: 'tcp', ...listen })
  if (process.env['LISTEN_FDS'] === '1' && process.env['LISTEN_PID'] === `${process.pid}`) {
    places.push({ kind: 'activated' })
  }
  const [place, second] = places
  if (place === undefined || second !== undefined) {
    throw new UsageError('serve needs exactly one of --socket, --listen and --stdio')
  }
  return place
}

async function listen(server: Server, place: Exclude<Place, { kind: 'stdio' }>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  server.once('error', (error: NodeJS.ErrnoException) => {
    const advice = error.code === 'EADDRINUSE' ? 'remove it or choose another' : 'choose another'
    reject(new UsageError(`cannot listen: ${error.message}`, { advice, cause: error }))
  })
  switch (place.kind) {
    case 'activated':
      server.listen({ fd: LISTEN_FDS_START }, () => resolve('the socket of the service manager'))
      break
    case 'socket': {
      // The socket is made within the call, and nobody else may have it even for a moment.
      const before = process.umask(0o177)
      server.listen({ path: place.path }, () => resolve(`nbd+unix:///?socket=${place.path}`))
      process.umask(before)
      break
    }
    case 'tcp': {
      const host = place.host === '' ? '::' : place.host
      server.listen({ host, port: place.port }, () => {
        const address = server.address()
        const port = typeof address === 'object' ? address?.port : undefined
        const name = host.includes(':') ? `[${host}]` : host
        resolve(`nbd://${name}:${port ?? place.port}`)
      })
      break
    }
  }
  return promise
}

function announce(terminal: Terminal, address: string, access: string, size: number): void {
  terminal.say('info', `serving ${formatSize(size)} ${access} at ${address}`)
}
