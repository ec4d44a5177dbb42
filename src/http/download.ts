import { createHash } from 'node:crypto'
import { SourceUnavailable } from '../errors.ts'
import { shown } from '../image-name.ts'
import { equalDigests, reprDigests } from './digest.ts'
import { type HttpOptions, openTransport, routeTo } from './options.ts'
import { follow } from './redirects.ts'
import { requestWhole } from './whole-request.ts'

/**
 * A whole file, for servers without ranges: one answer, so it is of one version, checked by its
 * length and by its digest if it brings one. Throws what `tooLong` makes of its length when that
 * is more than `limitBytes`.
 */
export async function download(
  url: URL,
  options: HttpOptions,
  limitBytes: number,
  tooLong: (bytes: number) => Error,
): Promise<Uint8Array> {
  await using transport = openTransport(options)
  const { answer } = await follow(routeTo(url, transport, options), url, (exchange) =>
    requestWhole(exchange, limitBytes, tooLong),
  )
  const { bytes, headers } = answer
  const expected = reprDigests(headers)
  const actual = new Map(
    [...expected.keys()].map((name) => {
      const hash = createHash(name.replace('-', '')).update(bytes)
      return [name, hash.digest('base64')] as const
    }),
  )
  if (expected.size > 0 && !equalDigests(expected, actual)) {
    throw new SourceUnavailable('the file is not what its digest says', {
      where: { url: shown(url) },
    })
  }
  return bytes
}
