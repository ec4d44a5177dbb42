import type { SecureContextOptions } from 'node:tls'
import { UsageError } from '../errors.ts'
import type { ImageName } from '../image-name.ts'
import type { HttpOptions } from '../plan.ts'
import { type Headers, headerFile } from './header-file.ts'
import { fileOf, textOf } from './files.ts'
import type { Options } from './options.ts'
import { systemCertificates } from './system-certificates.ts'
import { webAddress } from './web-address.ts'

/** Silence that is taken for a failure. */
const TIMEOUTS = { connectMs: 10_000, firstByteMs: 20_000, stallMs: 15_000 }

/** What in argv would be a secret that every user of the machine can read. */
const SECRET = new Set(['authorization', 'cookie', 'proxy-authorization'])

/** What says how a request is sent, and is not for the user to say. */
const OURS = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'range',
  'transfer-encoding',
  'upgrade',
])

export async function httpOptions(image: ImageName, options: Options): Promise<HttpOptions> {
  if (options.mirror.length > 0 && image.kind !== 'url') {
    throw new UsageError('--mirror is for an image on a web server')
  }
  const { credentials, proxyAuthorization } = await headers(image, options)
  return {
    connections: options.connections,
    identity: options.identity,
    mirrors: options.mirror.map((url) => webAddress(url)),
    credentials,
    tls: await tlsOptions(image, options),
    ...(options.proxy !== undefined && {
      proxy: {
        url: webAddress(options.proxy, 'Proxy-Authorization'),
        ...(proxyAuthorization !== undefined && { authorization: proxyAuthorization }),
      },
    }),
    timeouts: TIMEOUTS,
    staysAtOrigin: false,
    destinations: new Map(),
    runDirectory: '/run',
  }
}

async function headers(
  image: ImageName,
  { header, 'header-file': path }: Options,
): Promise<{ credentials: ReadonlyMap<string, Headers>; proxyAuthorization?: string }> {
  for (const [name] of header) {
    if (!SECRET.has(name)) continue
    throw new UsageError(`--header may not have ${name}, which everyone could read`, {
      advice: 'put it into a file and name that with --header-file',
    })
  }
  const sections = headerFile(path === undefined ? '' : await textOf('--header-file', path), path)
  const names = [...header.map(([name]) => name), ...[...sections.values()].flatMap(Object.keys)]
  const ours = names.find((name) => OURS.has(name))
  if (ours !== undefined) throw new UsageError(`the header ${ours} is netcow's own`)
  const own = { ...Object.fromEntries(header), ...sections.get('') }
  const { 'proxy-authorization': proxyAuthorization, ...sent } = own
  sections.delete('')
  if (image.kind === 'url') {
    const { origin } = image.url
    sections.set(origin, { ...sent, ...sections.get(origin) })
  } else if (Object.keys(sent).length > 0) {
    throw new UsageError('the image lies on no server to send headers to', {
      advice:
        'put those for a backing or data file into --header-file, after a line [https://HOST]',
    })
  }
  return { credentials: sections, ...(proxyAuthorization !== undefined && { proxyAuthorization }) }
}

/** Of use to what lies on a web server; nothing else needs to wait until they are read. */
function needsCertificates(image: ImageName, options: Options): boolean {
  const others = [...options.backing, options['data-file'] ?? '']
  return image.kind === 'url' || others.some((word) => word.includes('://'))
}

async function tlsOptions(image: ImageName, options: Options): Promise<HttpOptions['tls']> {
  const { ca, 'client-cert': certificateFile, 'client-key': keyFile, insecure } = options
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError('--client-cert and --client-key go together')
  }
  const system = needsCertificates(image, options) ? systemCertificates : async () => undefined
  const trusted = ca === undefined ? await system() : await textOf('--ca', ca)
  const tls = { verifies: !insecure, ...(trusted !== undefined && { ca: trusted }) }
  if (ca !== undefined) await checkPem('--ca', ca, { ca: tls.ca })
  if (certificateFile === undefined || keyFile === undefined) return tls
  const certificate = await textOf('--client-cert', certificateFile)
  const key = (await fileOf('--client-key', keyFile)).toString('utf8')
  await checkPem('--client-cert', certificateFile, { cert: certificate })
  await checkPem('--client-key', keyFile, { cert: certificate, key })
  return { ...tls, client: { certificate, key } }
}

/** Said here it is one clear line; at the first connection it would be OpenSSL's. */
async function checkPem(option: string, path: string, parts: SecureContextOptions): Promise<void> {
  const { createSecureContext } = await import('node:tls')
  const text = parts.key ?? parts.cert ?? parts.ca
  const what = parts.key === undefined ? 'CERTIFICATE' : 'PRIVATE KEY'
  try {
    const begin = new RegExp(`-----BEGIN [A-Z\\d ]*${what}-----`)
    if (typeof text !== 'string' || !begin.test(text)) throw new Error('no PEM')
    createSecureContext(parts)
  } catch (cause) {
    throw new UsageError(`${option} is not what it should be, in PEM`, {
      where: { path },
      ...(parts.key !== undefined && {
        advice: 'give the key of the certificate, without a passphrase',
      }),
      cause,
    })
  }
}
