import { uptime } from 'node:os'
import { mostDirtyBytes } from '../block/quota.ts'
import { printable } from '../image-name.ts'
import { announce, readPartitions, tuneQueue } from '../kernel/block-sysfs.ts'
import { limitDirtyPagesOf } from '../kernel/dirty-pages.ts'
import type { KernelLog } from '../kernel/log.ts'
import { disconnect } from '../kernel/nbd-device.ts'
import type { DevicePlan } from '../plan.ts'
import type { Served } from '../stack.ts'
import { ControlServer, socketPath } from './control.ts'
import { holdDevice } from './device-lock.ts'
import type { DeviceFacts } from './device-status.ts'
import { liveStatus, resizeOverlay } from './live-status.ts'
import {
  type ResumeRecord,
  makeRunDirectory,
  removeRunFiles,
  writeFacts,
  writeResumeRecord,
} from './run-files.ts'
import { surviveEverything } from './survival.ts'

/** What a daemon was started with, and what it serves. */
export interface Service {
  readonly plan: DevicePlan
  readonly served: Served
  /** What the daemon before it left, if this one took over, and holds the device. */
  readonly before: ResumeRecord | undefined
  readonly argv: readonly string[]
  readonly directory: string
  readonly log: KernelLog | undefined
}

/**
 * Makes the device `index` one that others can use and ask about, until it is disposed of. If that
 * fails, a new device is taken apart again: it would have no daemon. One that was taken over is in
 * use, and is served although nobody can ask about it.
 */
export async function appear(index: number, service: Service): Promise<Disposable> {
  const { before, log } = service
  try {
    return await present(index, service)
  } catch (error) {
    if (before === undefined) {
      disconnect(index)
      throw error
    }
    const reason = error instanceof Error ? error.message : String(error)
    log?.write('error', `/dev/nbd${index} is served, but cannot be asked about: ${reason}`)
    return { [Symbol.dispose]: () => removeRunFiles(index) }
  }
}

async function present(index: number, service: Service): Promise<Disposable> {
  const { before, served, log } = service
  surviveEverything(log, index)
  makeRunDirectory()
  if (before === undefined) {
    await holdDevice(index)
    await settle(index, served)
  }
  const record = recordOf(index, service)
  const facts = factsOf(service, record)
  const control = await controlServer(socketPath(index), facts, served)
  writeResumeRecord(record)
  writeFacts(index, facts)
  return {
    [Symbol.dispose]() {
      control[Symbol.dispose]()
      removeRunFiles(index)
    },
  }
}

/** Makes the device usable: its queue, its partitions, and what udev thinks of it. */
async function settle(index: number, { overlay }: Served): Promise<void> {
  await tuneQueue(index)
  const dirtyBytes = overlay?.kind === 'memory' ? mostDirtyBytes(overlay.limitBytes) : undefined
  await limitDirtyPagesOf(index, dirtyBytes)
  await readPartitions(index)
  await announce(index)
}

/** What the next daemon must know: what the one before this knew, and what has been found since. */
export function recordOf(
  index: number,
  { argv, directory, served, before }: Pick<Service, 'argv' | 'directory' | 'served' | 'before'>,
): ResumeRecord {
  const found = [...served.destinations()].map(([url, { href }]) => [url, href] as const)
  const destinations = { ...before?.destinations, ...Object.fromEntries(found) }
  if (before !== undefined) return { ...before, destinations }
  return {
    argv: [...argv],
    directory,
    index,
    identities: [...served.identities],
    destinations,
    attachedAtUptimeMs: uptimeMs(),
  }
}

function factsOf(
  { plan, served }: Service,
  { index, attachedAtUptimeMs }: ResumeRecord,
): DeviceFacts {
  return {
    device: `/dev/nbd${index}`,
    pid: process.pid,
    image: printable(plan.image),
    sizeBytes: served.source.size,
    access: served.access,
    attachedAtUptimeMs,
    daemonSinceUptimeMs: uptimeMs(),
  }
}

function uptimeMs(): number {
  return Math.round(uptime() * 1000)
}

/** Answers for a device on a socket at `path`. */
export function controlServer(
  path: string,
  facts: DeviceFacts,
  served: Served,
): Promise<ControlServer> {
  return ControlServer.open(path, (request) => {
    switch (request.kind) {
      case 'status':
        return { kind: 'status', status: liveStatus(facts, served) }
      case 'resize-overlay':
        resizeOverlay(served, request.limitBytes)
        return { kind: 'done' }
    }
  })
}
