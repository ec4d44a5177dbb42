import { SourceChanged, SourceRefused } from '../errors.ts'
import type { Headers } from './response.ts'

/**
 * Which version of a file the bytes belong to, pinned when the image is opened: bytes of two
 * versions are never mixed. The strong ETag says it best, then the time of modification with the
 * length, and the length alone only where the user takes that upon themselves.
 */
export interface Identity {
  readonly size: number
  readonly validator:
    | { readonly kind: 'etag'; readonly value: string }
    | { readonly kind: 'last-modified'; readonly value: string }
    | { readonly kind: 'length' }
}

export type IdentityMode = 'etag' | 'length'

/** Throws `SourceRefused` when the server names no version and `mode` insists on one. */
export function pin(headers: Headers, size: number, mode: IdentityMode, url: string): Identity {
  const etag = strongEtag(headers)
  if (etag !== undefined) return { size, validator: { kind: 'etag', value: etag } }
  const modified = headers['last-modified']
  if (modified !== undefined) return { size, validator: { kind: 'last-modified', value: modified } }
  if (mode === 'length') return { size, validator: { kind: 'length' } }
  throw new SourceRefused('the server sends neither a strong ETag nor Last-Modified', {
    where: { url },
    advice: 'let it send one, or accept the length alone with --identity length',
  })
}

/** What the version is known by. */
export function textOf({ size, validator }: Identity): string {
  return validator.kind === 'length' ? `${size} bytes` : validator.value
}

/** Throws `SourceChanged` unless the response belongs to the pinned version. */
export function checkIdentity(pinned: Identity, headers: Headers, size: number, url: string): void {
  const { validator } = pinned
  const now = answered(validator.kind, headers, size)
  const then = textOf(pinned)
  if (size === pinned.size && now === then) return
  throw new SourceChanged('the file on the server has changed', {
    where: { url, pinned: then, now: size === pinned.size ? now : `${size} bytes` },
    advice: 'put the old version back, or restart to use the new one',
  })
}

function answered(kind: Identity['validator']['kind'], headers: Headers, size: number): string {
  switch (kind) {
    case 'etag':
      return strongEtag(headers) ?? 'no strong ETag'
    case 'last-modified':
      return headers['last-modified'] ?? 'no Last-Modified'
    case 'length':
      return `${size} bytes`
  }
}

/** RFC 9110, section 8.8.3: a weak one may stand for other bytes. */
function strongEtag(headers: Headers): string | undefined {
  const etag = headers.etag
  return etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : undefined
}
