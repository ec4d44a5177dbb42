import { totalmem, uptime } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { UsageError } from '../errors.ts'
import type { OverlayVitals, Vitals } from '../vitals.ts'
import type { DeviceFacts, DeviceStatus } from './device-status.ts'
import { formatSize } from './size.ts'

/** A daemon's device at this moment. Needs no file: there may be none any more. */
export function liveStatus(facts: DeviceFacts, vitals: Vitals): DeviceStatus {
  const { overlay } = vitals
  return {
    ...facts,
    nowUptimeMs: Math.round(uptime() * 1000),
    sources: vitals.states().map((state) => ({ ...state, servers: [...state.servers] })),
    cache: vitals.cache(),
    overlay: overlay === undefined ? null : seenOf(overlay),
    memory: memory(),
  }
}

function seenOf({ kind, usedBytes, limitBytes, waitingWrites }: OverlayVitals) {
  return { kind, usedBytes, limitBytes, waitingWrites }
}

function memory(): DeviceStatus['memory'] {
  const { total_physical_size, heap_size_limit, external_memory } = getHeapStatistics()
  return {
    heapBytes: total_physical_size,
    heapLimitBytes: heap_size_limit,
    buffersBytes: external_memory,
    residentBytes: residentBytes(),
  }
}

/** Comes from /proc, which a daemon of the initramfs may have lost. */
function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss()
  } catch {
    return null
  }
}

/** Throws `UsageError` if there is no overlay, or more memory is wanted than there is. */
export function resizeOverlay({ overlay }: Vitals, limitBytes: number): void {
  if (overlay === undefined) throw new UsageError('the device has no overlay')
  if (overlay.kind === 'memory' && limitBytes > totalmem()) {
    throw new UsageError(`the machine has ${formatSize(totalmem())} of memory in all`)
  }
  overlay.resize(limitBytes)
}
