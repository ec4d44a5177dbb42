import { UsageError } from '../errors.ts'
import { type Command, parseCall } from './command.ts'
import { attach } from './commands/attach.ts'
import { check } from './commands/check.ts'
import { copy } from './commands/copy.ts'
import { detach } from './commands/detach.ts'
import { doctor } from './commands/doctor.ts'
import { info } from './commands/info.ts'
import { list } from './commands/list.ts'
import { map } from './commands/map.ts'
import { resizeOverlay } from './commands/resize-overlay.ts'
import { serve } from './commands/serve.ts'
import { status } from './commands/status.ts'
import { daemon } from './daemon.ts'
import { commandHelp, overview } from './help.ts'
import { nearest } from './nearest.ts'
import { StandardTerminal } from './standard-terminal.ts'
import { exitCodeOf, lineOf, stackOf } from './terminal.ts'
import manifest from '../../package.json' with { type: 'json' }

/** Finds the command, runs it, and turns what it throws into one line and an exit code. */
export async function runTool(
  argv: readonly string[],
  more: readonly Command[],
  hidden: readonly Command[],
): Promise<number> {
  const terminal = new StandardTerminal()
  const commands = [
    serve,
    attach,
    detach,
    list,
    status,
    resizeOverlay,
    info,
    map,
    check,
    copy,
    doctor,
    ...more,
  ]
  try {
    const [word, ...rest] = argv
    if (word === '--version') return await print(`netcow ${manifest.version}\n`)
    if (word === undefined || word === '--help' || word === 'help') {
      return await print(overview(commands))
    }
    const command = [...commands, daemon, ...hidden].find(({ name }) => name === word)
    if (command === undefined) throw unknownCommand(word, commands)
    if (rest.includes('--help')) return await print(commandHelp(command))
    if (rest.includes('--version')) return await print(`netcow ${manifest.version}\n`)
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

function unknownCommand(word: string, commands: readonly Command[]): UsageError {
  const names = commands.map(({ name }) => name)
  const meant = nearest(word, names)
  return new UsageError(
    `unknown command '${word}'${meant === undefined ? '' : `, did you mean '${meant}'?`}`,
    { advice: 'see netcow --help' },
  )
}
