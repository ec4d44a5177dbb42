import { readFile } from 'node:fs/promises'
import { UsageError } from '../errors.ts'
import type { ImageName } from '../image-name.ts'
import type { DevicePlan, HttpOptions, ImagePlan, Permission } from '../plan.ts'
import { type Options, parseHeader } from './options.ts'
import { parseSize } from './size.ts'

/** How long a command waits for an absent server unless it is told otherwise. */
const COMMAND_OPEN_MS = 30_000
/** Silence on a connection that is taken for a failure. */
const STALL_MS = 15_000

/** IMAGE as a path, an http(s) URL, or `memory:SIZE`. Throws `UsageError`. */
export function imageName(text: string): ImageName {
  if (text.startsWith('memory:')) {
    const sizeBytes = parseSize(text.slice('memory:'.length))
    if (sizeBytes !== undefined && sizeBytes > 0) return { kind: 'memory', sizeBytes }
    throw new UsageError(`'${text}' has no size`, { advice: 'write it like memory:64M' })
  }
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return { kind: 'file', path: text }
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`'${text}' is neither a path nor an http or https URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('the URL holds a user name or a password, which everyone could read', {
      advice: "put 'Authorization: Basic ...' into a file and name it with --header-file",
    })
  }
  return { kind: 'url', url }
}

export async function imagePlan(image: string, options: Options): Promise<ImagePlan> {
  const { sizelimit, timeout, snapshot } = options
  const dataFile = options['data-file']
  const keyFile = options['luks-key-file']
  return {
    image: imageName(image),
    format: options.format,
    offset: options.offset,
    ...(sizelimit === undefined ? {} : { sizeLimit: sizelimit }),
    cacheBytes: options.cache,
    openMs: timeout === undefined ? COMMAND_OPEN_MS : timeout * 1000,
    http: await httpOptions(options),
    ...(snapshot === undefined ? {} : { snapshot }),
    backing: permissions(options.backing),
    ...(dataFile === undefined ? {} : { dataFile: imageName(dataFile) }),
    ...(keyFile === undefined ? {} : { passphrase: await passphraseIn(keyFile) }),
    allowCorrupt: options['allow-corrupt'],
  }
}

function permissions(words: readonly string[]): Permission[] {
  return words.flatMap((word): Permission[] => {
    if (word === 'none') return []
    return [word === 'same-origin' ? { kind: word } : { kind: 'image', image: imageName(word) }]
  })
}

/** The whole file, less the end of its last line, as cryptsetup and editors would have it. */
async function passphraseIn(path: string): Promise<ImagePlan['passphrase'] & {}> {
  const bytes = await fileOf('--luks-key-file', path)
  const passphrase = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes
  return async (_image, refused) => (refused === 0 ? passphrase : undefined)
}

/** The plan of a device; `overlay` without a size gets `defaultOverlayBytes`. */
export async function devicePlan(
  image: string,
  options: Options,
  more: Pick<DevicePlan, 'whenFull'> & { readonly defaultOverlayBytes: number },
): Promise<DevicePlan> {
  const { overlay = { kind: 'none' } } = options
  if (options['read-only'] && overlay.kind !== 'none') {
    throw new UsageError('--read-only and --overlay contradict each other')
  }
  return {
    ...(await imagePlan(image, options)),
    overlay:
      overlay.kind === 'none'
        ? overlay
        : { kind: 'memory', limitBytes: overlay.limitBytes ?? more.defaultOverlayBytes },
    readOnly: options['read-only'],
    sectorBytes: Number(options['sector-size']),
    whenFull: more.whenFull,
  }
}

async function httpOptions(options: Options): Promise<HttpOptions> {
  const fromFile = options['header-file']
  const lines = fromFile === undefined ? '' : await textOf('--header-file', fromFile)
  const ca = options.ca === undefined ? undefined : await textOf('--ca', options.ca)
  return {
    connections: options.connections,
    identity: options.identity,
    headers: Object.fromEntries([...options.header, ...headersOf(lines, fromFile ?? '')]),
    ...(ca === undefined ? {} : { ca }),
    stallMs: STALL_MS,
  }
}

function headersOf(text: string, path: string): (readonly [string, string])[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  return lines.flatMap((line, index) => {
    if (line === '' || line.startsWith('#')) return []
    const header = parseHeader(line)
    if (header === undefined) {
      // Not the line itself: it may be a secret.
      throw new UsageError("--header-file has a line that is not 'Name: value'", {
        where: { path, line: index + 1 },
      })
    }
    return [header]
  })
}

export async function textOf(option: string, path: string): Promise<string> {
  return (await fileOf(option, path)).toString('utf8')
}

async function fileOf(option: string, path: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`${option} cannot be read: ${cause.code ?? cause.message}`, {
      where: { path },
      cause,
    })
  })
}
