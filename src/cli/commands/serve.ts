import { createServer } from 'node:net'
import { UsageError } from '../../errors.ts'
import { isStreamSocket, socketCalls } from '../../kernel/ffi.ts'
import { answerFirst } from '../../kernel/process.ts'
import type { Offer } from '../../nbd/handshake.ts'
import { LendingSocket } from '../../nbd/lending-socket.ts'
import { NbdServer, serveConnection } from '../../nbd/server.ts'
import { type TlsIdentity, checkIdentity } from '../../nbd/tls.ts'
import type { Served } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { endpointOf, listen } from '../endpoint.ts'
import { openAgain } from '../open-again.ts'
import type { Options } from '../options.ts'
import { asking } from '../passphrase.ts'
import { textOf } from '../files.ts'
import { devicePlan } from '../plan.ts'
import { formatSize } from '../size.ts'
import { type Terminal, lineOf } from '../terminal.ts'

/** A quarter of what most machines have; a client gets ENOSPC beyond it. */
const OVERLAY_BYTES = 2 ** 30

export const serve: Command = {
  name: 'serve',
  summary: 'serve an image to NBD clients',
  details: [
    'Clients connect to a Unix socket (--socket), to TCP (--listen), to what is connected to standard input (--stdio), or to the sockets of a service manager (LISTEN_FDS).',
    'Nothing can be written unless --overlay says where writes go. With --log info it says where it listens. SIGTERM (SIGINT, SIGHUP) ends it once what is under way has been answered.',
  ],
  operands: ['IMAGE'],
  options: [
    'socket',
    'listen',
    'stdio',
    'name',
    'description',
    'tls-cert',
    'tls-key',
    'tls-ca',
    'overlay',
    'read-only',
    'sector-size',
    ...IMAGE_OPTIONS,
  ],
  run: runServe,
}

async function runServe({ operands: [image = ''], options, terminal }: Call): Promise<number> {
  const endpoint = endpointOf(options)
  const tls = await identityOf(options)
  const plan = await devicePlan(image, options, {
    whenFull: 'fail',
    defaultOverlayBytes: OVERLAY_BYTES,
  })
  if (endpoint.kind === 'stdio' && !isStreamSocket(0)) {
    throw new UsageError('--stdio needs a connected socket on standard input')
  }
  const served = await openAgain(asking(plan, terminal), (line) => terminal.say('warn', line))
  await using _source = served.source
  const { name, description } = options
  const offer: Offer = { served, name, description, ...(tls === undefined ? {} : { tls }) }
  const report = (error: unknown) => terminal.say('error', lineOf(error))
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => stop.abort())
  await answerFirst()
  if (endpoint.kind === 'stdio') {
    const socket = LendingSocket.overDescriptor(0, socketCalls)
    await serveConnection(socket, offer, { report, signal: stop.signal })
    return 0
  }
  const server = createServer({ allowHalfOpen: true })
  const nbd = new NbdServer(server, offer, { report, calls: socketCalls })
  const address = await listen(server, endpoint, { name, secure: tls !== undefined })
  announce(terminal, address, served)
  await new Promise((resolve) => {
    if (stop.signal.aborted) resolve(undefined)
    stop.signal.addEventListener('abort', resolve, { once: true })
  })
  await nbd.close()
  return 0
}

/** The files are read and compared before the image is opened. */
async function identityOf(options: Options): Promise<TlsIdentity | undefined> {
  const { 'tls-cert': cert, 'tls-key': key, 'tls-ca': ca } = options
  if (cert === undefined && key === undefined && ca === undefined) return undefined
  if (cert === undefined || key === undefined) {
    throw new UsageError('TLS needs both --tls-cert and --tls-key')
  }
  const identity = {
    cert: await textOf('--tls-cert', cert),
    key: await textOf('--tls-key', key),
    ...(ca === undefined ? {} : { ca: await textOf('--tls-ca', ca) }),
  }
  try {
    checkIdentity(identity)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--tls-cert and --tls-key cannot be used: ${reason}`, { cause })
  }
  return identity
}

function announce(terminal: Terminal, address: string, { access, source }: Served): void {
  terminal.say('info', `serving ${formatSize(source.size)} ${access} at ${address}`)
}
