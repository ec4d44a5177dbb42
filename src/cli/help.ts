import { type Command, EVERYWHERE } from './command.ts'
import { type OptionName, optionText } from './options.ts'

/** Where the texts of options begin. */
const LEFT_COLUMNS = 31

export function overview(commands: readonly Command[]): string {
  const calls = commands.map(({ name, operands }) => [name, ...operands].join(' '))
  const width = Math.max(...calls.map((call) => call.length))
  const rows = commands.map(({ summary }, index) => {
    const [first, ...others] = wrapped(summary, 88 - width - 4)
    const below = others.map((line) => `\n${' '.repeat(width + 4)}${line}`)
    return `  ${calls[index]?.padEnd(width)}  ${first}${below.join('')}`
  })
  return [
    'Usage: netcow COMMAND [OPTIONS]',
    '',
    'Serves, attaches and boots QCOW2 images that lie on a web server.',
    '',
    ...rows,
    '',
    'IMAGE is a path, an http or https URL, or memory:SIZE.',
    'netcow COMMAND --help says more. Exit codes: 0 done, 1 a bug of netcow, 2 usage,',
    '3 source unavailable or refused, 4 image invalid or unsupported, 5 kernel or peer refused.',
    '',
  ].join('\n')
}

export function commandHelp(command: Command): string {
  const names = [...command.options, ...EVERYWHERE]
  const options = names.flatMap((name) => optionRows(name, command.name))
  return [
    `Usage: ${['netcow', command.name, ...command.operands, '[OPTIONS]'].join(' ')}`,
    '',
    `${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.`,
    ...command.details.flatMap((paragraph) => ['', ...wrapped(paragraph)]),
    '',
    ...options,
    `  ${'--help, -h'.padEnd(28)} this text`,
    '',
  ].join('\n')
}

/** Lines of at most `columns`, as a terminal has them. */
function wrapped(paragraph: string, columns = 88): string[] {
  return paragraph.match(new RegExp(`\\S.{0,${columns - 1}}(?= |$)`, 'g')) ?? []
}

/** What the option is for stands beside it, or below it where it is long. */
function optionRows(name: OptionName, command: string): string[] {
  const { argument, help } = optionText(name, command)
  const left = argument === undefined ? `--${name}` : `--${name} ${argument}`
  const right = wrapped(help, 88 - LEFT_COLUMNS).map((line) => `${' '.repeat(LEFT_COLUMNS)}${line}`)
  if (left.length + 3 > LEFT_COLUMNS) return [`  ${left}`, ...right]
  const [first = '', ...others] = right
  return [`  ${left}`.padEnd(LEFT_COLUMNS) + first.trimStart(), ...others]
}
