import { statfs } from 'node:fs/promises'
import { Align } from './block/align.ts'
import { keepDestinations } from './block/disk/destinations.ts'
import { DiskOverlay } from './block/disk/disk-overlay.ts'
import { CLUSTER_BYTES } from './block/disk/layout.ts'
import { LocalPlace } from './block/disk/place.ts'
import { MemoryDevice } from './block/memory.ts'
import { Overlay, SECTOR } from './block/overlay.ts'
import { Quota } from './block/quota.ts'
import type { BlockDevice, BlockSource } from './block/source.ts'
import { WaitForRoom } from './block/wait-for-room.ts'
import { lockFile } from './kernel/ffi.ts'
import type { DevicePlan, OverlayPlan } from './plan.ts'
import type { OverlayVitals, Vitals } from './vitals.ts'

/** Makes a device of a source, by an overlay in memory or on a disk. */

/** What the image is known by, and where it was found. */
type Known = Pick<Vitals, 'identities' | 'destinations'>

/** A device to write to, and what can be seen of its overlay. */
export interface Writable {
  readonly source: BlockDevice
  readonly overlay: OverlayVitals
}

/**
 * @param known of the image: an overlay on a disk belongs to one only
 * @param report takes one line for the user
 */
export async function writable(
  base: BlockSource,
  overlay: OverlayPlan,
  { whenFull }: DevicePlan,
  known: Known,
  report: (line: string) => void,
): Promise<Writable> {
  const quotaOf = (limitBytes: number) =>
    new Quota(limitBytes, (percent, { limitBytes }) =>
      report(`the overlay is ${percent} % full (limit ${limitBytes} bytes)`),
    )
  const { device, quota } = await layered(base, overlay, known, quotaOf)
  const { kind } = overlay
  switch (whenFull) {
    case 'wait': {
      const source = new WaitForRoom(device, quota, report)
      return { source, overlay: vitalsOf(kind, quota, () => source.waiting) }
    }
    case 'fail':
      return { source: new Align(device, SECTOR), overlay: vitalsOf(kind, quota, () => 0) }
  }
}

async function layered(
  base: BlockSource,
  overlay: OverlayPlan,
  { identities, destinations }: Known,
  quotaOf: (limitBytes: number) => Quota,
): Promise<{ device: BlockDevice; quota: Quota }> {
  switch (overlay.kind) {
    case 'memory': {
      const quota = quotaOf(overlay.limitBytes)
      return { device: new Overlay(base, new MemoryDevice(base.size, quota)), quota }
    }
    case 'disk': {
      const { path, bootId, isEmpty } = overlay
      const place = await LocalPlace.open(path, lockFile)
      try {
        const device = await DiskOverlay.open(base, place, {
          identities,
          bootId,
          isEmpty: async () => (place.isDevice ? isEmpty() : place.sizeBytes === 0),
          quota: async (usedBytes, dataOffset) => {
            const quota = quotaOf(await roomFor(place, usedBytes, dataOffset))
            if (usedBytes > 0) quota.take(usedBytes)
            return quota
          },
        })
        await keepDestinations(place, destinations())
        return { device, quota: device.quota }
      } catch (error) {
        await place[Symbol.asyncDispose]()
        throw error
      }
    }
  }
}

/** What a partition holds, or what the file may grow to, as it looks now. */
async function roomFor(place: LocalPlace, usedBytes: number, dataOffset: number): Promise<number> {
  if (place.isDevice) {
    return Math.floor(Math.max(0, place.sizeBytes - dataOffset) / CLUSTER_BYTES) * CLUSTER_BYTES
  }
  const { bavail, bsize } = await statfs(place.path)
  return usedBytes + bavail * bsize
}

function vitalsOf(
  kind: OverlayVitals['kind'],
  quota: Quota,
  waitingWrites: () => number,
): OverlayVitals {
  return {
    kind,
    get usedBytes() {
      return quota.usedBytes
    },
    get limitBytes() {
      return quota.limitBytes
    },
    get waitingWrites() {
      return waitingWrites()
    },
    resize: (limitBytes) => quota.resize(limitBytes),
  }
}
