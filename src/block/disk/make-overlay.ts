import { CLUSTER_BYTES, type Layout, encodeHeader } from './layout.ts'
import type { Place } from './place.ts'

const ZEROES = new Uint8Array(CLUSTER_BYTES)

/** The maps are made of zeroes, and the header is written when they are on the disk. */
export async function makeOverlay(
  place: Place,
  layout: Layout,
  sizeBytes: number,
  identities: readonly string[],
): Promise<void> {
  for (let at = layout.durableMap; at < layout.data; at += ZEROES.length) {
    await place.write(ZEROES.subarray(0, Math.min(ZEROES.length, layout.data - at)), at)
  }
  await place.synchronize()
  await place.write(encodeHeader(sizeBytes, identities), 0)
  await place.synchronize()
}
