import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { uptime } from 'node:os'
import { announce, isConnected, readPartitions, tuneQueue } from '../kernel/block-sysfs.ts'
import { KernelLog } from '../kernel/log.ts'
import { protectFromOutOfMemory } from '../kernel/process.ts'
import { endMachine } from '../kernel/restart.ts'
import { printable } from '../image-name.ts'
import type { DevicePlan } from '../plan.ts'
import { type Report, type Served, openForUse } from '../stack.ts'
import { CHANNEL_FD, tell } from './channel.ts'
import type { Call, Command } from './command.ts'
import { attach, attachPlan } from './commands/attach.ts'
import type { Options } from './options.ts'
import { watchOutages } from './outage.ts'
import { attachToKernel } from './kernel-client.ts'
import { removeStatus, writeStatus } from './status-file.ts'
import { exitCodeOf, lineOf, stackOf } from './terminal.ts'

/**
 * The process behind an attached device: opens the image, gives the kernel its sockets, answers
 * until the device is taken apart. Once attached it must not end, whatever happens.
 */

/** Not for people: `netcow attach` and `netcow boot` start it. */
export const daemon: Command = {
  ...attach,
  name: 'daemon',
  options: [...attach.options, 'onfail'],
  run: runDaemon,
}

async function runDaemon({ operands: [image = ''], options }: Call): Promise<number> {
  const log = KernelLog.open()
  let attached = false
  const report = (line: string) => {
    log?.write('error', line)
    if (!attached) tell({ kind: 'waiting', line })
  }
  try {
    const plan = lasting(await attachPlan(image, options))
    const served = await openForUse(plan, report)
    await using _source = served.source
    const client = await attachToKernel(served, plan.sectorBytes, options.device, {
      failed(error) {
        log?.write('error', lineOf(error))
        if (options.log === 'debug') log?.write('debug', stackOf(error))
      },
      noted: (line) => log?.write('info', line),
    })
    attached = true
    surviveEverything(log, client.index)
    await settle(client.index)
    writeStatus(client.index, {
      device: `/dev/nbd${client.index}`,
      pid: process.pid,
      image: printable(plan.image),
      sizeBytes: served.source.size,
      access: served.access,
      attachedAtUptimeMs: Math.round(uptime() * 1000),
    })
    endWithSource(served, options, report)
    tell({ kind: 'attached', index: client.index })
    closeSync(CHANNEL_FD)
    await client.over
    removeStatus(client.index)
    return 0
  } catch (error) {
    tell({ kind: 'failed', line: lineOf(error), exitCode: exitCodeOf(error) })
    throw error
  }
}

/** Our working directory is /run, and that lasts, while every path ends with the initramfs. */
function lasting(plan: DevicePlan): DevicePlan {
  return { ...plan, http: { ...plan.http, runDirectory: '.' } }
}

/** Makes the device usable: its queue, its partitions, and what udev thinks of it. */
async function settle(index: number): Promise<void> {
  await tuneQueue(index)
  await readPartitions(index)
  await announce(index)
}

/** What `--onfail` and `--timeout` say together: a machine may be worth less than its return. */
function endWithSource({ states }: Served, { onfail, timeout }: Options, report: Report): void {
  if (onfail === 'shell' || timeout === undefined) return
  watchOutages(states, timeout * 1000, (line) => {
    report(`${line}; ${onfail} now, as rd.netcow.onfail says`)
    endMachine(onfail)
  })
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
