import { UsageError } from '../errors.ts'
import { type Command, parseCall } from './command.ts'
import { commandHelp, overview } from './help.ts'
import { nearest } from './nearest.ts'
import { StandardTerminal } from './standard-terminal.ts'
import { exitCodeOf, lineOf, stackOf } from './terminal.ts'
import manifest from '../../package.json' with { type: 'json' }

/**
 * Commands by name. Each is loaded when it is called: what all of them need together takes as long
 * to load as it takes to read an image of a hundred megabytes.
 */
export type Commands = Readonly<Record<string, () => Promise<Command>>>

export const COMMANDS: Commands = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  attach: async () => (await import('./commands/attach.ts')).attach,
  detach: async () => (await import('./commands/detach.ts')).detach,
  list: async () => (await import('./commands/list.ts')).list,
  status: async () => (await import('./commands/status.ts')).status,
  'resize-overlay': async () => (await import('./commands/resize-overlay.ts')).resizeOverlay,
  info: async () => (await import('./commands/info.ts')).info,
  map: async () => (await import('./commands/map.ts')).map,
  check: async () => (await import('./commands/check.ts')).check,
  copy: async () => (await import('./commands/copy.ts')).copy,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
}
/** Not for people: `netcow attach` and `netcow boot` start it. */
const DAEMON: Commands = { daemon: async () => (await import('./daemon.ts')).daemon }

const VERSION = `netcow ${manifest.version}\n`
const HELP: readonly string[] = ['--help', '-h']

/** Finds the command, runs it, and turns what it throws into one line and an exit code. */
export async function runTool(
  argv: readonly string[],
  more: Commands,
  hidden: Commands,
): Promise<number> {
  const terminal = new StandardTerminal()
  const commands = { ...COMMANDS, ...more }
  try {
    requireText(argv)
    const [word, ...rest] = argv[0] === 'help' && argv[1] ? [argv[1], '--help'] : argv
    if (word === '--version' || word === '-V') return await print(VERSION)
    if (word === undefined || HELP.includes(word) || word === 'help') {
      return await print(overview(await Promise.all(Object.values(commands).map((load) => load()))))
    }
    const known = { ...commands, ...DAEMON, ...hidden }
    const command = Object.hasOwn(known, word) ? await known[word]?.() : undefined
    if (command === undefined) throw unknownCommand(word, Object.keys(commands))
    if (rest.some((other) => HELP.includes(other))) return await print(commandHelp(command))
    if (rest.includes('--version')) return await print(VERSION)
    const { operands, options } = parseCall(command, rest)
    terminal.level = options.log
    return await command.run({ operands, options, terminal, argv: rest })
  } catch (error) {
    terminal.say('error', lineOf(error))
    terminal.say('debug', stackOf(error))
    return exitCodeOf(error)
  }

  async function print(text: string): Promise<number> {
    await terminal.out(text)
    return 0
  }
}

/** Node has put a replacement for what is no text, and a file of the name that results is another one. */
function requireText(argv: readonly string[]): void {
  const word = argv.find((each) => each.includes('\uFFFD'))
  if (word === undefined) return
  throw new UsageError(`'${word}' is not in UTF-8`, {
    advice: 'give the file another name, or a link with one',
  })
}

function unknownCommand(word: string, names: readonly string[]): UsageError {
  const meant = nearest(word, word.startsWith('-') ? ['--help', '--version'] : names)
  const what = word.startsWith('-') ? 'option' : 'command'
  return new UsageError(
    `unknown ${what} '${word}'${meant === undefined ? '' : `, did you mean '${meant}'?`}`,
    { advice: 'see netcow --help' },
  )
}
