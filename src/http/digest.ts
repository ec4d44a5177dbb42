import type { Headers } from './response.ts'

/** What the bytes of a whole file hash to, by the name of the algorithm, in base64. */
export type Digests = ReadonlyMap<string, string>

/** Strong enough to tell files apart that someone made to look the same (RFC 9530, section 5). */
const ALGORITHMS = new Set(['sha-256', 'sha-512'])

/** Asks for `Repr-Digest`, as `Want-Repr-Digest`. */
export const WANTED = 'sha-256=10, sha-512=3'

/** `Repr-Digest` (RFC 9530, section 3), which is about the whole file even beside a range. */
export function reprDigests(headers: Headers): Digests {
  const values = [headers['repr-digest'] ?? []].flat().join(',')
  const found = values.matchAll(/(?:^|,)\s*([a-z\d-]+)\s*=\s*:([A-Za-z\d+/]+=*):/g)
  return new Map(
    [...found].flatMap(([, name = '', value = '']) =>
      ALGORITHMS.has(name) ? [[name, value] as const] : [],
    ),
  )
}

/** The first line of what sha256sum prints, or the digits alone. */
export function sha256Digests(text: string): Digests {
  const [, digits] = /^\\?([\da-f]{64})(?:\s|$)/i.exec(text) ?? []
  if (digits === undefined) return new Map()
  return new Map([['sha-256', Buffer.from(digits, 'hex').toString('base64')]])
}

/** Whether one algorithm says that both are the same, and none that they are not. */
export function equalDigests(left: Digests, right: Digests): boolean {
  const shared = [...left].filter(([name]) => right.has(name))
  return shared.length > 0 && shared.every(([name, value]) => right.get(name) === value)
}
