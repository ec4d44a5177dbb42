import type { IncomingHttpHeaders } from 'node:http'
import { RangesRefused, SourceRefused, SourceUnavailable } from '../errors.ts'

/** Sorts HTTP statuses by what they mean to a reader of ranges (RFC 9110, section 15). */

export type Headers = IncomingHttpHeaders

const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** The server asks to come back. */
const PASSING = new Set([408, 425, 429])

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status)
}

/** The error that a status other than 206 and the redirects stands for. */
export function errorOfStatus(
  status: number,
  headers: Headers,
  url: string,
): SourceRefused | SourceUnavailable {
  const where = { url }
  if (PASSING.has(status) || status >= 500) {
    const retryAfterMs = retryAfter(headers['retry-after'])
    return new SourceUnavailable(`the server answers ${status}`, { where, retryAfterMs })
  }
  if (status === 200) {
    return new RangesRefused(
      'the server does not serve ranges (it answers 200 to a range request)',
      {
        where,
        advice:
          'use a web server with range requests, such as nginx or Apache, without compression',
      },
    )
  }
  const [what, advice] = REFUSALS[status] ?? [`the server answers ${status}`, 'check the URL']
  return new SourceRefused(what, { where, advice })
}

const REFUSALS: Readonly<Record<number, readonly [what: string, advice: string]>> = {
  // What nginx says to who shows no certificate, or has written http:// for its port of https.
  400: [
    'the server answers 400',
    'check the URL, and whether it wants https:// or a client certificate',
  ],
  401: ['the server wants credentials (401)', 'give them with --header-file'],
  403: ['the server forbids it (403)', 'check its permissions or give credentials'],
  404: ['no such file on the server (404)', 'check the URL'],
  407: ['a proxy wants credentials (407)', 'check the proxy'],
  410: ['the file is gone from the server (410)', 'check the URL'],
  416: ['the file is empty, or shorter than it was (416)', 'check the file on the server'],
}

/** `Content-Range` (RFC 9110, section 14.4), for a satisfied range of bytes with a known length. */
export interface ContentRange {
  readonly first: number
  readonly last: number
  readonly size: number
}

export function contentRange(headers: Headers): ContentRange | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/i.exec(headers['content-range'] ?? '')
  if (match === null) return undefined
  const [first, last, size] = match.slice(1).map(Number)
  if (first === undefined || last === undefined || size === undefined) return undefined
  if (!Number.isSafeInteger(size) || first > last || last >= size) return undefined
  return { first, last, size }
}

/** Longer demands than this are taken as this: a mistyped header must not park a machine for a day. */
const LONGEST_RETRY_AFTER_MS = 300_000

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date, as milliseconds from now. */
export function retryAfter(value: string | undefined, nowMs = Date.now()): number {
  if (value === undefined) return 0
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS) : 0
}
