import { type Command, EVERYWHERE } from './command.ts'
import { type OptionName, optionText } from './options.ts'

export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, operands, summary }) => {
    return `  ${[name, ...operands].join(' ').padEnd(24)} ${summary}`
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
  const options = [...command.options, ...EVERYWHERE].map(optionRow)
  return [
    `Usage: ${['netcow', command.name, ...command.operands, '[OPTIONS]'].join(' ')}`,
    '',
    `${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.`,
    ...command.details.flatMap((paragraph) => ['', ...wrapped(paragraph)]),
    '',
    ...options,
    `  ${'--help'.padEnd(28)} this text`,
    '',
  ].join('\n')
}

/** Lines that fit a terminal. */
function wrapped(paragraph: string): string[] {
  return paragraph.match(/\S.{0,88}(?= |$)/g) ?? []
}

function optionRow(name: OptionName): string {
  const { argument, help } = optionText(name)
  const left = argument === undefined ? `--${name}` : `--${name} ${argument}`
  return `  ${left.padEnd(28)} ${help}`
}
