import { fileOf } from './files.ts'
import { UsageError } from '../errors.ts'
import type { ImageName } from '../image-name.ts'
import type { DevicePlan, ImagePlan, Permission } from '../plan.ts'
import { httpOptions } from './http-options.ts'
import { nearest } from './nearest.ts'
import type { Options } from './options.ts'
import { overlayPlan } from './overlay-plan.ts'
import { parseSize } from './size.ts'
import { webAddress } from './web-address.ts'

/** How long a command waits for an absent server unless it is told otherwise. */
const COMMAND_OPEN_MS = 30_000

/** IMAGE as a path, an http(s) URL, or `memory:SIZE`. Throws `UsageError`. */
export function imageName(text: string): ImageName {
  if (text.startsWith('memory:')) {
    const sizeBytes = parseSize(text.slice('memory:'.length))
    if (sizeBytes !== undefined && sizeBytes > 0) return { kind: 'memory', sizeBytes }
    throw new UsageError(`'${text}' has no size`, { advice: 'write it like memory:64M' })
  }
  if (text === '') throw new UsageError('the name of the image is empty')
  if (!/^(?:https?:|[a-z][a-z\d+.-]*:\/\/)/i.test(text)) return { kind: 'file', path: text }
  return { kind: 'url', url: webAddress(text) }
}

export async function imagePlan(image: string, options: Options): Promise<ImagePlan> {
  const { sizelimit, timeout, snapshot } = options
  const dataFile = options['data-file']
  const keyFile = options['luks-key-file']
  const keySlot = options['luks-key-slot']
  const name = imageName(image)
  return {
    image: name,
    // There is nothing in it that could be of another format.
    format: name.kind === 'memory' ? 'raw' : options.format,
    offset: options.offset,
    ...(sizelimit === undefined ? {} : { sizeLimit: sizelimit }),
    cacheBytes: options.cache,
    openMs: timeout === undefined ? COMMAND_OPEN_MS : timeout * 1000,
    http: await httpOptions(name, options),
    ...(snapshot === undefined ? {} : { snapshot }),
    backing: permissions(options.backing),
    ...(dataFile === undefined ? {} : { dataFile: imageName(dataFile) }),
    ...(keyFile === undefined ? {} : { passphrase: await passphraseIn(keyFile) }),
    ...(keySlot === undefined ? {} : { keySlot }),
    allowCorrupt: options['allow-corrupt'],
  }
}

/** A new disk of zeroes has nothing that these could choose from. */
function refuseForMemory(image: string, options: Options): void {
  const useless = (['sizelimit', 'snapshot', 'data-file'] as const).filter(
    (name) => options[name] !== undefined,
  )
  const [name] = options.offset > 0 ? ['offset'] : useless
  if (name !== undefined) throw new UsageError(`--${name} has no meaning for ${image}`)
}

function permissions(words: readonly string[]): Permission[] {
  return words.flatMap((word): Permission[] => {
    if (word === 'none') return []
    const meant = /[./]/.test(word) ? undefined : nearest(word, ['none', 'same-origin'])
    if (meant !== undefined && meant !== word) {
      throw new UsageError(`--backing ${word}: did you mean ${meant}?`, {
        advice: `write ./${word} if it is a file`,
      })
    }
    return [word === 'same-origin' ? { kind: word } : { kind: 'image', image: imageName(word) }]
  })
}

/** The whole file, less the end of its last line, as cryptsetup and editors would have it. */
async function passphraseIn(path: string): Promise<ImagePlan['passphrase'] & {}> {
  const bytes = await fileOf('--luks-key-file', path)
  // A newline is there because editors and echo leave one, or it belongs to the passphrase: QEMU and
  // cryptsetup take such a file as it is.
  const passphrases = bytes.at(-1) === 0x0a ? [bytes.subarray(0, -1), bytes] : [bytes]
  return async (_image, refused) => passphrases[refused]
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
  const plan = await imagePlan(image, options)
  if (plan.image.kind === 'memory') {
    if (overlay.kind !== 'none')
      throw new UsageError(`${image} keeps what is written to it, without --overlay`)
    refuseForMemory(image, options)
  }
  return {
    ...plan,
    overlay: await overlayPlan(overlay, more.defaultOverlayBytes),
    readOnly: options['read-only'],
    sectorBytes: Number(options['sector-size']),
    whenFull: more.whenFull,
  }
}
