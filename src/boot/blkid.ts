import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Nothing that it knows, and more than one thing: no answer, and no failure either. */
const NO_ANSWER: readonly unknown[] = [2, 8]

/** What blkid reads from the device itself, as KEY to value; nothing when it knows nothing. */
export async function probe(path: string): Promise<ReadonlyMap<string, string>> {
  const lines = (await blkid('-p', '-o', 'export', path)).map((line) => line.split('='))
  return new Map(lines.map(([key = '', ...value]) => [key, value.join('=')]))
}

/** The devices that blkid finds now with this tag, such as LABEL, in place of what it remembers. */
export function devicesWith(tag: string, value: string): Promise<readonly string[]> {
  return blkid('-c', '/dev/null', '-o', 'device', '-t', `${tag}=${value}`)
}

async function blkid(...args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('blkid', args).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && NO_ANSWER.includes(error.code)) {
      return { stdout: '' }
    }
    throw error
  })
  return stdout.split('\n').filter((line) => line !== '')
}
