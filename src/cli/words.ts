import { UsageError } from '../errors.ts'
import { parseDeviceFile } from './device-file.ts'
import { parseKernelCommandLine } from './kernel-command-line.ts'
import { nearest } from './nearest.ts'
import { type OptionName, type OptionTexts, REPEATABLE, parseOptions } from './options.ts'
import { imageName } from './plan.ts'

/** What the kernel command line says to netcow: an image, and the options of `netcow attach`. */
export interface BootWords {
  /** The URL of the image; absent when another word, such as one from DHCP, must bring it. */
  readonly image: string | undefined
  /** No other word says where the root is, so netcow finds it in the image. */
  readonly findsRoot: boolean
  /** The root is to be mounted read-only; without a word for it, the overlay takes the writes. */
  readonly readOnly: boolean
  readonly options: OptionTexts
}

/** The options that `rd.netcow.NAME=` sets; the same as those of the tool. */
export const WORDS: readonly OptionName[] = [
  'format',
  'offset',
  'sizelimit',
  'snapshot',
  'backing',
  'data-file',
  'luks-key-file',
  'luks-key-slot',
  'overlay',
  'cache',
  'timeout',
  'mirror',
  'onfail',
  'connections',
  'identity',
  'header-file',
  'ca',
  'client-cert',
  'client-key',
  'proxy',
  'sector-size',
]
/** Shows what happens, with stack traces. */
const DEBUG = 'debug'

/**
 * Reads the words that are meant for netcow. Throws `UsageError` about one that is not known, with
 * the nearest that is, or about a value that makes no sense.
 */
export function parseBootWords(commandLine: string): BootWords {
  let image: string | undefined
  let findsRoot = true
  let readOnly = false
  const texts: Partial<Record<OptionName, string | string[] | boolean>> = {}
  for (const { name, value } of parseKernelCommandLine(commandLine)) {
    if (name === 'root' || name === 'netroot') {
      const named = afterScheme(value)
      if (named !== undefined) image = named
      if (name === 'root') findsRoot = named !== undefined || /^dhcp6?$/.test(value ?? '')
    } else if (name === 'ro' || name === 'rw') {
      readOnly = name === 'ro'
    } else if (name === 'rd.netcow' || name === 'netcow') {
      image = value ?? ''
    } else if (name === 'proxy') {
      // Both words are dracut's, too.
      texts.proxy = value ?? ''
    } else if (name === 'rd.noverifyssl') {
      texts.insecure = value !== '0'
    } else {
      const option = optionOf(name)
      if (option === DEBUG) texts.log = value === '0' ? 'warn' : 'debug'
      else if (option !== undefined) {
        const text = value ?? ''
        const before = texts[option]
        texts[option] = !REPEATABLE.has(option)
          ? text
          : Array.isArray(before)
            ? [...before, text]
            : [text]
      }
    }
  }
  parseOptions(texts, (option) => `rd.netcow.${option}=`)
  return {
    image: image === undefined ? undefined : checkedImage(image),
    findsRoot,
    readOnly: readOnly || texts.overlay === 'none',
    options: texts,
  }
}

/** `netcow:URL`, as it stands in `root=`, in `netroot=` and in a DHCP root-path. */
export function afterScheme(value: string | undefined): string | undefined {
  return value?.startsWith('netcow:') ? value.slice('netcow:'.length) : undefined
}

/** Throws `UsageError` unless the image can be had before the root is mounted. */
function checkedImage(image: string): string {
  return parseDeviceFile(image) === undefined ? checkedUrl(image) : image
}

/** Throws `UsageError` for anything else than a URL: a DHCP server names no local files. */
export function checkedUrl(image: string): string {
  if (/^https?:\/\//i.test(image) && imageName(image).kind === 'url') return image
  throw new UsageError(`'${image}' is not an http or https URL`, {
    advice: 'write root=netcow:http://SERVER/IMAGE, rd.netcow=URL or rd.netcow=LABEL=DISK:/PATH',
  })
}

function optionOf(name: string): OptionName | typeof DEBUG | undefined {
  const [, option] = /^(?:rd\.)?netcow\.(.*)$/.exec(name) ?? []
  if (option === undefined) return undefined
  const known = [...WORDS, DEBUG] as const
  const found = known.find((word) => word === option)
  if (found !== undefined) return found
  const meant = nearest(option, known)
  throw new UsageError(
    `unknown word ${name}${meant === undefined ? '' : `, did you mean rd.netcow.${meant}?`}`,
    { advice: 'correct the kernel command line' },
  )
}

/** The same options as words of `netcow attach`. */
export function argvOf(options: OptionTexts): string[] {
  return WORDS.concat('log', 'insecure').flatMap((name) => {
    const text = options[name] ?? []
    if (typeof text === 'boolean') return text ? [`--${name}`] : []
    const texts = Array.isArray(text) ? text : [text]
    return texts.map((value) => `--${name}=${value}`)
  })
}
