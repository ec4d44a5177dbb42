import type { Socket } from 'node:net'
import { type TLSSocket, createServer } from 'node:tls'
import { PeerRefused } from '../errors.ts'

/** How a server shows who it is, in PEM. With `ca`, clients have to show a certificate of it, too. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

/** Throws what OpenSSL has against a certificate or its key, before any client comes. */
export function checkIdentity(identity: TlsIdentity): void {
  createServer(optionsOf(identity))
}

/** Lays TLS over a connection, as its server. Throws `PeerRefused` when the client fails at it. */
export function secured(socket: Socket, identity: TlsIdentity): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const failed = (cause?: Error) =>
    reject(new PeerRefused('the client fails at the TLS handshake', { cause }))
  // A server of its own, because that tells whose handshake it was.
  const server = createServer(optionsOf(identity))
  server.once('secureConnection', resolve)
  server.once('tlsClientError', failed)
  socket.once('close', () => failed())
  server.emit('connection', socket)
  return promise
}

function optionsOf({ cert, key, ca }: TlsIdentity) {
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
  return { cert, key, ...clients, minVersion: 'TLSv1.2' } as const
}
