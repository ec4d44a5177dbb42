import { parseArgs } from 'node:util'
import { UsageError } from '../errors.ts'
import { nearest } from './nearest.ts'
import {
  OPTIONS,
  type OptionName,
  type Options,
  REPEATABLE,
  optionText,
  parseOptions,
} from './options.ts'
import type { Terminal } from './terminal.ts'

/** One command of the tool. Its options come parsed; it returns an exit code or throws. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** Paragraphs of plain text for its help and its manual page. */
  readonly details: readonly string[]
  /** The names of its arguments; those in brackets may be left out. */
  readonly operands: readonly string[]
  readonly options: readonly OptionName[]
  run(call: Call): Promise<number>
}

export interface Call {
  readonly operands: readonly string[]
  readonly options: Options
  readonly terminal: Terminal
  /** The words after the command, as the user wrote them. */
  readonly argv: readonly string[]
}

/** The options of every command. */
export const EVERYWHERE: readonly OptionName[] = ['log']
/** What says how an image is read; common to all commands that read one. */
export const IMAGE_OPTIONS: readonly OptionName[] = [
  'format',
  'offset',
  'sizelimit',
  'snapshot',
  'backing',
  'data-file',
  'luks-key-file',
  'luks-key-slot',
  'allow-corrupt',
  'cache',
  'timeout',
  'mirror',
  'connections',
  'identity',
  'header',
  'header-file',
  'ca',
  'client-cert',
  'client-key',
  'proxy',
  'insecure',
]
const OF_THE_GUEST: ReadonlySet<OptionName> = new Set<OptionName>([
  'snapshot',
  'data-file',
  'luks-key-file',
  'luks-key-slot',
  'allow-corrupt',
])
/** The same, for what looks at the file of an image and at none of the guest's bytes. */
export const WHOLE_FILE_OPTIONS = IMAGE_OPTIONS.filter((name) => !OF_THE_GUEST.has(name))

/** Sorts the words of a call. Throws `UsageError` with the nearest option for a mistyped one. */
export function parseCall(
  command: Command,
  argv: readonly string[],
): { operands: string[]; options: Options } {
  const names = [...command.options, ...EVERYWHERE]
  const { values, positionals } = parsedWords(command, names, argv)
  const least = command.operands.filter((operand) => !operand.startsWith('[')).length
  const usage = `see netcow ${command.name} --help`
  if (positionals.length < least) {
    throw new UsageError(`netcow ${command.name} needs ${command.operands[positionals.length]}`, {
      advice: usage,
    })
  }
  if (positionals.length > command.operands.length) {
    const extra = positionals[command.operands.length]
    throw new UsageError(`netcow ${command.name} does not know what '${extra}' is`, {
      advice: usage,
    })
  }
  return { operands: positionals, options: parseOptions(values, (name) => `--${name}`) }
}

function parsedWords(command: Command, names: readonly OptionName[], argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: Object.fromEntries(
        names.map((name) => {
          const type = optionText(name).argument === undefined ? 'boolean' : 'string'
          return [name, { type, multiple: REPEATABLE.has(name) }] as const
        }),
      ),
    })
  } catch (error) {
    if (!(error instanceof TypeError && 'code' in error)) throw error
    throw new UsageError(complaint(command, names, error), {
      advice: `see netcow ${command.name} --help`,
    })
  }
}

/** Says it in our words, which name the option that was probably meant, or what it takes. */
function complaint(
  command: Command,
  names: readonly OptionName[],
  { code, message }: Error & { code?: unknown },
): string {
  const [, word = ''] = /^(?:Unknown option|Option) '(-[^'= ]+)/.exec(message) ?? []
  const name = word.replace(/^-+/, '')
  const known = names.find((candidate) => candidate === name)
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return unknownOption(command, names, word, name)
  if (known === undefined) return message.split(/\.\s|\n/)[0] ?? message
  const { argument } = optionText(known)
  return argument === undefined ? `${word} takes no value` : `${word} needs ${argument}`
}

function unknownOption(
  command: Command,
  names: readonly OptionName[],
  word: string,
  name: string,
): string {
  const meant = nearest(name, names)
  if (meant !== undefined) return `unknown option ${word}, did you mean --${meant}?`
  return Object.hasOwn(OPTIONS, name)
    ? `netcow ${command.name} takes no ${word}`
    : `unknown option ${word}`
}
