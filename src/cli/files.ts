import { readFile } from 'node:fs/promises'
import { UsageError, reasonOf } from '../errors.ts'

/** A file that an option names. Throws `UsageError` when it cannot be read. */
export async function fileOf(option: string, path: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`${option} cannot be read: ${reasonOf(cause)}`, {
      where: { path },
      cause,
    })
  })
}

export async function textOf(option: string, path: string): Promise<string> {
  return (await fileOf(option, path)).toString('utf8')
}
