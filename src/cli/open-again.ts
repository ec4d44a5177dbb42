import { keptDestinations } from '../block/disk/destinations.ts'
import { SourceChanged, SourceRefused } from '../errors.ts'
import type { DevicePlan } from '../plan.ts'
import { type Report, type Served, openForUse } from '../stack.ts'

/**
 * Opens a disk for others to use. An overlay on a disk belongs to one version of its image, which is
 * looked for first where it was when the overlay was used last: a stable URL may lead to another one.
 */
export async function openAgain(plan: DevicePlan, report: Report): Promise<Served> {
  const { overlay, http } = plan
  const destinations =
    overlay.kind === 'disk' ? await keptDestinations(overlay.path) : new Map<string, URL>()
  if (destinations.size === 0) return openForUse(plan, report)
  try {
    return await openForUse({ ...plan, http: { ...http, destinations } }, report)
  } catch (error) {
    if (!(error instanceof SourceRefused || error instanceof SourceChanged)) throw error
    // Another version has taken its place; the URL itself may have ours.
    return openForUse(plan, report)
  }
}
