import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'

type Answer = (
  error: NodeJS.ErrnoException | null,
  addresses: LookupAddress[] | string,
  family?: number,
) => void

/**
 * Looks names up like the system, and remembers what it found: once the initramfs has been emptied
 * there is no resolv.conf any more, and a root disk must find its server again all the same.
 */
export function rememberingLookup(): (
  hostname: string,
  options: LookupOptions,
  answer: Answer,
) => void {
  const remembered = new Map<string, LookupAddress[]>()
  return (hostname, options, answer) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error === null) remembered.set(hostname, found)
      const addresses = error === null ? found : remembered.get(hostname)
      const [first] = addresses ?? []
      if (addresses === undefined || first === undefined) answer(error, [])
      else if (options.all === true) answer(null, addresses)
      else answer(null, first.address, first.family)
    })
  }
}
