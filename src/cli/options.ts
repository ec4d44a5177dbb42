import * as z from 'zod/mini'
import { type DiskPlace, parseDiskPlace } from './device-file.ts'
import { UsageError } from '../errors.ts'
import { FORMAT_NAMES, isFormatName } from '../format/registry.ts'
import { parseSize } from './size.ts'

/**
 * Every option of every command, said once: its argument, its meaning, and how its text becomes a
 * value. The words of the kernel command line are the same options under other names (words.ts).
 */

function parsed<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.pipe(
    z.string(),
    z.transform((text: string, context): T => {
      const value = parse(text)
      if (value !== undefined) return value
      context.issues.push({
        code: 'custom',
        message: `takes ${expected}, not '${text}'`,
        input: text,
      })
      return z.NEVER
    }),
  )
}

function oneOf<const T extends string>(words: readonly T[]) {
  return parsed(words.join(' or '), (text) => words.find((word) => word === text))
}

function wholeNumber(expected: string, least: number, most: number) {
  return parsed(expected, (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    return value >= least && value <= most ? value : undefined
  })
}

const size = parsed('a size such as 64M or 1G', parseSize)
const path = parsed('a path', nonEmpty)
const name = parsed('a name', nonEmpty)

function nonEmpty(text: string): string | undefined {
  return text === '' ? undefined : text
}

/** The longest string of the NBD protocol. */
const MOST_TEXT_BYTES = 4096

function shortText(text: string): string | undefined {
  return Buffer.byteLength(text) > MOST_TEXT_BYTES ? undefined : text
}

export type OverlayOption =
  | { readonly kind: 'none' }
  | { readonly kind: 'memory'; readonly limitBytes?: number }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'local'; readonly place: DiskPlace }

function parseOverlay(text: string): OverlayOption | undefined {
  if (text === 'none') return { kind: 'none' }
  if (text === 'memory') return { kind: 'memory' }
  const [, path] = /^file:(.+)$/.exec(text) ?? []
  if (path !== undefined) return { kind: 'file', path }
  const place = parseDiskPlace(text)
  if (place !== undefined) return { kind: 'local', place }
  if (!text.startsWith('memory:')) return undefined
  const limitBytes = parseSize(text.slice('memory:'.length))
  return limitBytes === undefined || limitBytes === 0 ? undefined : { kind: 'memory', limitBytes }
}

/** `Name: value`, the name in lower case; undefined for anything else. */
export function parseHeader(text: string): readonly [name: string, value: string] | undefined {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\x20-\x7e]*)$/.exec(text) ?? []
  return name === undefined || value === undefined ? undefined : [name.toLowerCase(), value]
}

/** The N of `/dev/nbdN`; undefined for anything else. */
function parseDevice(text: string): number | undefined {
  const [, index] = /^\/dev\/nbd(\d{1,4})$/.exec(text) ?? []
  return index === undefined ? undefined : Number(index)
}

/** The N of `/dev/nbdN`; throws `UsageError` for anything else. */
export function deviceIndex(text: string): number {
  const index = parseDevice(text)
  if (index !== undefined) return index
  throw new UsageError(`'${text}' is not an nbd device`, { advice: 'write it like /dev/nbd0' })
}

function parseAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, six, four, digits] =
    /^(?:\[([\da-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  return digits === undefined || port > 65535 ? undefined : { host: six ?? four ?? '', port }
}

const DAY_S = 86_400

function formatName(text: string) {
  return isFormatName(text) ? text : undefined
}

interface OptionText {
  /** The name of its argument; absent for a switch. */
  readonly argument?: string
  readonly help: string
  /** What is different with a command, or on the kernel command line (`boot`). */
  readonly with?: Readonly<Record<string, { readonly argument?: string; readonly help: string }>>
}

export const OPTIONS = {
  format: { argument: 'qcow2|raw', help: 'what the image is; never guessed (default qcow2)' },
  offset: {
    argument: 'N',
    help: 'the image begins at this byte of the file',
    with: { map: { help: 'where is this byte of the guest' } },
  },
  sizelimit: { argument: 'N', help: 'the image ends after this many bytes' },
  snapshot: { argument: 'NAME', help: 'an internal snapshot, by id or name' },
  backing: {
    argument: 'none|same-origin|IMAGE',
    help: 'what may be opened below the image; repeat it for deeper levels (default none)',
  },
  'data-file': { argument: 'IMAGE', help: 'the external data file of the image' },
  'luks-key-file': { argument: 'FILE', help: 'the passphrase of an encrypted image' },
  'luks-key-slot': { argument: 'N', help: 'the one key slot to try, 0 to 7 (default: all in use)' },
  'allow-corrupt': { help: 'read an image that is marked as corrupt' },
  'backing-chain': { help: 'describe also the images below, as far as --backing allows' },
  refcounts: { help: 'compare all reference counts, too' },
  overlay: {
    argument: 'memory[:SIZE]|file:PATH|none',
    help: 'where writes go; without it nothing is written',
    with: {
      boot: {
        argument: 'memory[:SIZE]|DISK[:/FILE]|none',
        help: 'where writes go: memory, half of RAM unless said (the default), an empty disk or partition (/dev/X, LABEL=X, UUID=X, PARTLABEL=X, PARTUUID=X), or a file on one; none: the disk is read-only',
      },
    },
  },
  'read-only': { help: 'refuse writes' },
  cache: { argument: 'SIZE', help: 'how much of the image is kept in RAM (default 64M)' },
  timeout: {
    argument: 'SECONDS',
    help: 'how long to wait for an absent server at open (default 30)',
    with: {
      attach: { help: 'how long to wait for an absent server at open (default: for ever)' },
      boot: { help: 'give up when the server does not answer at boot (default: never)' },
    },
  },
  mirror: {
    argument: 'URL',
    help: 'another place of the same file, proven by ETag or digest; may be repeated',
  },
  connections: { argument: 'N', help: 'connections to the server, 1 to 64 (default 8)' },
  identity: {
    argument: 'etag|length',
    help: 'length: take a server that sends neither ETag nor Last-Modified (default etag)',
  },
  header: { argument: "'K: V'", help: 'a header for the server; may be repeated' },
  'header-file': {
    argument: 'FILE',
    help: "headers, one a line, for secrets; those after '[https://HOST]' are for that server",
  },
  ca: { argument: 'FILE', help: 'PEM certificates to trust for https (default: the system)' },
  'client-cert': { argument: 'FILE', help: 'PEM certificate to show to the server' },
  'client-key': { argument: 'FILE', help: 'PEM key of the client certificate' },
  proxy: { argument: 'URL', help: 'an http or https proxy for everything' },
  insecure: { help: 'take any certificate of a server' },
  'sector-size': { argument: '512|4096', help: 'the logical sectors of the device (default 512)' },
  resume: {
    argument: '/dev/nbdN',
    help: 'take over this device, whose daemon is dead, with the words of its attach',
  },
  device: { argument: '/dev/nbdN', help: 'the device to use (default: the next free one)' },
  socket: { argument: 'PATH', help: 'serve on a Unix socket' },
  listen: { argument: 'HOST:PORT', help: 'serve on TCP' },
  stdio: { help: 'serve the connected socket on standard input' },
  name: { argument: 'NAME', help: 'the name of the export (default: the empty one)' },
  description: { argument: 'TEXT', help: 'what clients are told of the export' },
  'tls-cert': { argument: 'FILE', help: 'PEM certificate; clients then have to use TLS' },
  'tls-key': { argument: 'FILE', help: 'PEM key of the certificate' },
  'tls-ca': { argument: 'FILE', help: 'clients have to show a certificate of this authority' },
  all: { help: 'every device that netcow attached' },
  json: { help: 'machine-readable output' },
  onfail: {
    argument: 'shell|reboot|poweroff',
    help: 'what follows a failed boot, or a source away for --timeout (default shell: nothing)',
    with: {
      boot: {
        help: 'what follows a failed boot (default shell: what the initramfs always does); with rd.netcow.timeout=, also a server that is away for so long later',
      },
    },
  },
  pause: { argument: 'SECONDS', help: 'how long to wait before anything else' },
  stage: {
    argument: 'check|variables|network|rule|leave',
    help: 'only one step: check the words, print what a script or udev is to know, set the network up, prepare ROOT',
  },
  log: { argument: 'LEVEL', help: 'error, warn, info or debug (default warn)' },
} as const satisfies Record<string, OptionText>

export type OptionName = keyof typeof OPTIONS

/** Options that may be given several times. */
export const REPEATABLE: ReadonlySet<OptionName> = new Set<OptionName>([
  'header',
  'backing',
  'mirror',
])

/** @param use the name of a command; `boot` for the kernel command line */
export function optionText(name: OptionName, use = ''): OptionText {
  const text: OptionText = OPTIONS[name]
  return { ...text, ...text.with?.[use] }
}

const flag = z._default(z.boolean(), false)

const Options = z.object({
  format: z._default(parsed(FORMAT_NAMES.join(' or '), formatName), 'qcow2'),
  offset: z._default(size, 0),
  sizelimit: z.optional(size),
  snapshot: z.optional(name),
  backing: z._default(z.array(parsed('none, same-origin, a path or a URL', nonEmpty)), []),
  'data-file': z.optional(path),
  'luks-key-file': z.optional(path),
  'luks-key-slot': z.optional(wholeNumber('a number from 0 to 7', 0, 7)),
  'allow-corrupt': flag,
  'backing-chain': flag,
  refcounts: flag,
  overlay: z.optional(parsed('memory, memory:SIZE, file:PATH, a disk or none', parseOverlay)),
  'read-only': flag,
  cache: z._default(size, 64 * 2 ** 20),
  timeout: z.optional(wholeNumber('a number of seconds', 0, DAY_S * 365)),
  connections: z._default(wholeNumber('a number from 1 to 64', 1, 64), 8),
  identity: z._default(oneOf(['etag', 'length']), 'etag'),
  header: z._default(z.array(parsed("'Name: value'", parseHeader)), []),
  'header-file': z.optional(path),
  ca: z.optional(path),
  mirror: z._default(z.array(parsed('an http or https URL', nonEmpty)), []),
  'client-cert': z.optional(path),
  'client-key': z.optional(path),
  proxy: z.optional(parsed('an http or https URL', nonEmpty)),
  insecure: flag,
  'sector-size': z._default(oneOf(['512', '4096']), '512'),
  resume: z.optional(parsed('a device such as /dev/nbd0', parseDevice)),
  device: z.optional(parsed('a device such as /dev/nbd0', parseDevice)),
  socket: z.optional(path),
  listen: z.optional(parsed('HOST:PORT', parseAddress)),
  stdio: flag,
  name: z._default(parsed('at most 4096 bytes', shortText), ''),
  description: z._default(parsed('at most 4096 bytes', shortText), ''),
  'tls-cert': z.optional(path),
  'tls-key': z.optional(path),
  'tls-ca': z.optional(path),
  all: flag,
  json: flag,
  onfail: z._default(oneOf(['shell', 'reboot', 'poweroff']), 'shell'),
  pause: z._default(wholeNumber('seconds', 0, 3600), 0),
  stage: z.optional(oneOf(['check', 'variables', 'network', 'rule', 'leave'])),
  log: z._default(oneOf(['error', 'warn', 'info', 'debug']), 'warn'),
})
export type Options = z.infer<typeof Options>

/** The texts of options by name, as they stood on a command line. */
export type OptionTexts = { readonly [name in OptionName]?: string | boolean | string[] }

/**
 * Makes values of texts. Throws `UsageError` about the first that is wrong.
 *
 * @param spelled how the user wrote the name of an option: `--cache`, or `rd.netcow.cache=`
 */
export function parseOptions(texts: OptionTexts, spelled: (name: string) => string): Options {
  const result = Options.safeParse(texts)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new UsageError(`${spelled(String(issue?.path[0] ?? ''))} ${issue?.message ?? 'is wrong'}`)
}
