import { KernelRefused } from '../errors.ts'

/**
 * Throws `KernelRefused` unless root asks.
 *
 * @param what cannot be done by others, as in 'only root may ...'
 */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return
  throw new KernelRefused(`only root may ${what}`, { advice: 'run it with sudo' })
}
