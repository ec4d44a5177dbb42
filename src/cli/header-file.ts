import { UsageError } from '../errors.ts'
import { parseHeader } from './options.ts'
import { webAddress } from './web-address.ts'

/** Values by lower-case names. */
export type Headers = Readonly<Record<string, string>>

/**
 * The headers of a --header-file by the origin that they are for; '' for the image's own server,
 * which those before the first section are for. A section begins with an origin in brackets:
 *
 *     Authorization: Bearer ...
 *     [https://mirror.example]
 *     Authorization: Basic ...
 */
export function headerFile(text: string, path = ''): Map<string, Headers> {
  const sections = new Map<string, Headers>()
  let origin = ''
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const [, section] = /^\[(.*)\]$/.exec(line) ?? []
    if (section !== undefined) {
      origin = webAddress(section).origin
      continue
    }
    const header = parseHeader(line)
    if (header === undefined || (header[0] === 'proxy-authorization' && origin !== '')) {
      // Not the line itself: it may be a secret.
      throw new UsageError("--header-file has a line that is not 'Name: value'", {
        where: { path, line: index + 1 },
      })
    }
    sections.set(origin, { ...sections.get(origin), [header[0]]: header[1] })
  }
  return sections
}
