import type { Completion } from './source.ts'

/**
 * Resolves when all of `works` are over, and rejects then if one has failed: the caller has its
 * buffers back only when nobody writes into them any more.
 */
export async function settled(works: readonly Completion[]): Promise<void> {
  const underway = works.filter((work) => work !== undefined)
  for (const result of await Promise.allSettled(underway))
    if (result.status === 'rejected') throw result.reason
}
