import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { uptime } from 'node:os'
import { announce, isConnected, readPartitions, tuneQueue } from '../kernel/block-sysfs.ts'
import { closeDescriptor, socketPair } from '../kernel/ffi.ts'
import { KernelLog } from '../kernel/log.ts'
import { connect } from '../kernel/nbd-device.ts'
import { protectFromOutOfMemory } from '../kernel/process.ts'
import { type Export, transmissionFlags } from '../nbd/export.ts'
import { transmit } from '../nbd/transmission.ts'
import { printable } from '../image-name.ts'
import { type Served, openForUse } from '../stack.ts'
import { CHANNEL_FD, tell } from './channel.ts'
import type { Call, Command } from './command.ts'
import { attach, attachPlan } from './commands/attach.ts'
import { removeStatus, writeStatus } from './status-file.ts'
import { exitCodeOf, lineOf, stackOf } from './terminal.ts'

/**
 * The process behind an attached device: opens the image, gives the kernel its sockets, answers
 * until the device is taken apart. Once attached it must not end, whatever happens.
 */

/** With one socket a dying connection fails a request; with two the kernel asks again. */
const SOCKETS = 2
/** Shown in sysfs, and how a device is known to be ours. */
const BACKEND = 'netcow'

/** Not for people: `netcow attach` and `netcow boot` start it. */
export const daemon: Command = { ...attach, name: 'daemon', run: runDaemon }

async function runDaemon({ operands: [image = ''], options }: Call): Promise<number> {
  const log = KernelLog.open()
  let attached = false
  const report = (line: string) => {
    log?.write('error', line)
    if (!attached) tell({ kind: 'waiting', line })
  }
  try {
    const plan = await attachPlan(image, options)
    const served = await openForUse(plan, report)
    await using _source = served.source
    const transmission = attachToKernel(served, plan.sectorBytes, options.device, (error) => {
      log?.write('error', lineOf(error))
      if (options.log === 'debug') log?.write('debug', stackOf(error))
    })
    attached = true
    surviveEverything(log, transmission.index)
    await settle(transmission.index)
    writeStatus(transmission.index, {
      device: `/dev/nbd${transmission.index}`,
      pid: process.pid,
      image: printable(plan.image),
      sizeBytes: served.source.size,
      access: served.access,
      attachedAtUptimeMs: Math.round(uptime() * 1000),
    })
    tell({ kind: 'attached', index: transmission.index })
    closeSync(CHANNEL_FD)
    await transmission.over
    removeStatus(transmission.index)
    return 0
  } catch (error) {
    tell({ kind: 'failed', line: lineOf(error), exitCode: exitCodeOf(error) })
    throw error
  }
}

/** Connects the device; `over` resolves when the kernel has let go of all sockets. */
function attachToKernel(
  served: Served,
  blockBytes: number,
  index: number | undefined,
  report: (error: unknown) => void,
): { readonly index: number; readonly over: Promise<unknown> } {
  const pairs = Array.from({ length: SOCKETS }, () => socketPair())
  const exported: Export = served
  const over = Promise.all(
    pairs.map(([ours]) => {
      const socket = new Socket({ fd: ours })
      return transmit(socket, exported, { mostRequests: Infinity, mostBytes: Infinity, report })
    }),
  )
  try {
    const given = connect({
      ...(index === undefined ? {} : { index }),
      sizeBytes: served.source.size,
      blockBytes,
      serverFlags: transmissionFlags(exported),
      sockets: pairs.map(([, theirs]) => theirs),
      backend: BACKEND,
    })
    return { index: given, over }
  } finally {
    for (const [, theirs] of pairs) closeDescriptor(theirs)
  }
}

/** Makes the device usable: its queue, its partitions, and what udev thinks of it. */
async function settle(index: number): Promise<void> {
  await tuneQueue(index)
  await readPartitions(index)
  await announce(index)
}

function surviveEverything(log: KernelLog | undefined, index: number): void {
  protectFromOutOfMemory()
  const grumble = (error: unknown) => log?.write('error', `${lineOf(error)}; serving on`)
  process.on('uncaughtException', grumble)
  process.on('unhandledRejection', grumble)
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => {})
  // A device in use stays: detach refuses it, and so it is for that command to decide.
  process.on('SIGTERM', () => {
    const child = spawn(process.execPath, ['detach', `/dev/nbd${index}`], { stdio: 'ignore' })
    child.on('error', grumble)
    child.on('exit', () => {
      if (isConnected(index)) log?.write('info', `/dev/nbd${index} is in use; serving on`)
    })
  })
}
