import { readFileSync } from 'node:fs'

/**
 * What a file of the system says that is mounted, but not yet the root: nothing if it is none, or a
 * link that leads somewhere only there.
 */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
