import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, sep } from 'node:path'

/**
 * Where an image is, and what a name inside of one may lead to. Such a name is data: whoever wrote
 * the image may have written anything (CVE-2024-4467), so it is only ever looked for beside the
 * image that has it, and only if the user allowed that.
 */

export type ImageName =
  | { readonly kind: 'url'; readonly url: URL }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'memory'; readonly sizeBytes: number }

const SCHEME = /^[a-z][a-z\d+.-]*:/i

/** An image name as it may be printed. */
export function printable(image: ImageName): string {
  switch (image.kind) {
    case 'url':
      return shown(image.url)
    case 'file':
      return image.path
    case 'memory':
      return `memory:${image.sizeBytes}`
  }
}

/** What tells an image from all others. Not to be printed: it has the whole of the query. */
export function identifier(image: ImageName): string {
  return image.kind === 'url' ? image.url.href : printable(image)
}

/** A URL as it may be printed: what follows the question mark can be a signature, a secret. */
export function shown({ origin, pathname, search }: URL): string {
  return `${origin}${pathname}${search === '' ? '' : '?...'}`
}

/** What `name`, found inside of `image`, is called from here; to be told, whatever it leads to. */
export function fullName(image: ImageName, name: string): string {
  if (isAbsolute(name) || SCHEME.test(name)) return name
  switch (image.kind) {
    case 'url': {
      const url = URL.parse(name, image.url)
      return url === null ? name : shown(url)
    }
    case 'file':
      // Not `join`, which would tidy it up: whoever reads it shall find what stands in the image.
      return image.path.includes(sep) ? `${dirname(image.path).replace(/\/$/, '')}/${name}` : name
    case 'memory':
      return name
  }
}

/**
 * What `name`, found inside of `image`, leads to under `--backing same-origin`: for an image on a
 * server a file on the same server, for a local one a file below its own folder, links resolved.
 * Undefined for everything else: other servers, other schemes, absolute paths, graphs in JSON.
 */
export async function besides(image: ImageName, name: string): Promise<ImageName | undefined> {
  switch (image.kind) {
    case 'url':
      return besidesUrl(image.url, name)
    case 'file':
      return besidesFile(image.path, name)
    case 'memory':
      return undefined
  }
}

function besidesUrl(base: URL, name: string): ImageName | undefined {
  const url = URL.parse(name, base)
  if (url === null || url.origin !== base.origin || url.protocol !== base.protocol) return undefined
  if (url.username !== '' || url.password !== '') return undefined
  return { kind: 'url', url }
}

async function besidesFile(path: string, name: string): Promise<ImageName | undefined> {
  if (isAbsolute(name) || SCHEME.test(name) || name.includes('\0')) return undefined
  try {
    const folder = await realpath(dirname(path))
    const target = await realpath(join(folder, name))
    return target.startsWith(folder + sep) ? { kind: 'file', path: target } : undefined
  } catch {
    return undefined
  }
}
