import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { UsageError, isNetcowError } from '../src/errors.ts'

/** util.parseArgs, whose complaints become ours. */
export function parsed<const Options extends ParseArgsOptionsConfig>(
  options: Options,
  allowPositionals: boolean,
) {
  try {
    return parseArgs({ options, allowPositionals })
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new UsageError(cause.message.split('. ')[0]!, { advice: 'see --help', cause })
  }
}

/** Runs a program of the harness: its exit code, one line for what the user can mend. */
export async function main(program: () => Promise<number>): Promise<void> {
  // So that `exit` handlers run, which end the virtual machines.
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  try {
    process.exitCode = await program()
  } catch (error) {
    if (isNetcowError(error)) process.stderr.write(`${error.line}\n`)
    else console.error(error)
    process.exitCode = isNetcowError(error) ? error.exitCode : 1
  }
}
