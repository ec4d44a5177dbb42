import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Patience, Persistence } from '../block/retry.ts'
import { DeviceLost, DeviceNotOurs, SourceChanged } from '../errors.ts'
import { printable } from '../image-name.ts'
import { KernelLog } from '../kernel/log.ts'
import { answerFirst } from '../kernel/process.ts'
import { endMachine } from '../kernel/restart.ts'
import type { DevicePlan } from '../plan.ts'
import { type Report, type Served, openForUse } from '../stack.ts'
import { CHANNEL_FD, IN_VAIN, tell } from './channel.ts'
import type { Call, Command } from './command.ts'
import { DAEMON_OPTIONS, attach, attachPlan } from './commands/attach.ts'
import { inheritDevice } from './device-lock.ts'
import { KernelClient } from './kernel-client.ts'
import { openAgain } from './open-again.ts'
import type { Options } from './options.ts'
import { stillOpening, watchOutages } from './outage.ts'
import { appear } from './presence.ts'
import { type ResumeRecord, readResumeRecord } from './run-files.ts'
import { exitCodeOf, lineOf, stackOf } from './terminal.ts'

/**
 * The process behind an attached device: opens the image, gives the kernel its socket, answers
 * until the device is taken apart. Once attached it must not end, whatever happens; and if it does,
 * another one takes its device over.
 */

/** Not for people: `netcow attach` and `netcow boot` start it. */
export const daemon: Command = {
  ...attach,
  name: 'daemon',
  options: DAEMON_OPTIONS,
  run: runDaemon,
}

async function runDaemon({ operands: [image = ''], options, argv }: Call): Promise<number> {
  const log = KernelLog.open()
  const directory = process.cwd()
  let attached = false
  const report = (line: string) => {
    log?.write('error', line)
    if (!attached) tell({ kind: 'waiting', line })
  }
  const diary = {
    failed(error: unknown) {
      log?.write('error', lineOf(error))
      if (options.log === 'debug') log?.write('debug', stackOf(error))
    },
    noted: (line: string) => log?.write('info', line),
  }
  try {
    await sleep(options.pause * 1000)
    const before = options.resume === undefined ? undefined : await takeOver(options.resume)
    const plan = await lastingPlan(image, options)
    const served = await (before
      ? reopenedInTime(plan, before, options, report)
      : openAgain(plan, report))
    await using _source = served.source
    await answerFirst()
    const client = before
      ? await KernelClient.resume(served, before.index, diary)
      : KernelClient.attach(served, plan.sectorBytes, options.device, diary)
    attached = true
    using _presence = await appear(client.index, { plan, served, before, argv, directory, log })
    if (before) report(`/dev/nbd${client.index} has a new daemon`)
    using _watch = endWithSource(() => served.states(), options, report)
    tell({ kind: 'attached', index: client.index })
    closeSync(CHANNEL_FD)
    await client.over
    return 0
  } catch (error) {
    tell({ kind: 'failed', line: lineOf(error), exitCode: exitCodeOf(error) })
    if (options.resume === undefined) throw error
    log?.write('error', lineOf(error))
    // Whatever else it is, the device may have a daemon, or get one.
    if (error instanceof DeviceLost) endWithDevice(error, options, report)
    if (error instanceof DeviceLost || error instanceof DeviceNotOurs) return IN_VAIN
    throw error
  }
}

/** Nothing but /run lasts: every other path ends with the initramfs. Leases are read there for ever. */
const RUN = '/run'

/** Reads what the words of an attach name while it is there, and moves to where something will be. */
export async function lastingPlan(image: string, options: Options): Promise<DevicePlan> {
  const plan = await attachPlan(image, options)
  process.chdir(RUN)
  return { ...plan, http: { ...plan.http, runDirectory: '.' } }
}

/** From now on nobody else serves the device. Throws `DeviceNotOurs`. */
async function takeOver(index: number): Promise<ResumeRecord> {
  await inheritDevice(index)
  return readResumeRecord(index)
}

/** What `--onfail` and `--timeout` say together: a machine may be worth less than its return. */
function endWithSource(
  states: Parameters<typeof watchOutages>[0],
  { onfail, timeout }: Options,
  report: Report,
): Disposable {
  if (onfail === 'shell' || timeout === undefined) return { [Symbol.dispose]() {} }
  return watchOutages(states, timeout * 1000, (line) => {
    report(`${line}; ${onfail} now, as rd.netcow.onfail says`)
    endMachine(onfail)
  })
}

function endWithDevice(error: DeviceLost, { onfail }: Options, report: Report): void {
  if (onfail === 'shell') return
  report(`${error.lineWithoutAdvice}; ${onfail} now, as rd.netcow.onfail says`)
  endMachine(onfail)
}

/** As long as `--timeout` says, where `--onfail` says what is next: the root has waited since the kill. */
async function reopenedInTime(
  plan: DevicePlan,
  before: ResumeRecord,
  options: Options,
  report: Report,
): Promise<Served> {
  const opening = stillOpening(`${printable(plan.image)} has not been opened again`)
  using _watch = endWithSource(opening, options, report)
  return await reopened(plan, before, report)
}

/**
 * Opens what a dead daemon served. The device is in use, so whatever is wrong with the source is
 * waited out, and other versions of its files are not taken. Throws `DeviceLost` if what was
 * written died with the daemon.
 */
export async function reopened(
  plan: DevicePlan,
  before: Pick<ResumeRecord, 'index' | 'identities' | 'destinations'>,
  report: Report,
): Promise<Served> {
  const where = { device: `/dev/nbd${before.index}` }
  if (plan.image.kind === 'memory' || plan.overlay.kind === 'memory') {
    throw new DeviceLost('what was written to the device was in the memory of its daemon', {
      where,
      advice: 'unmount and detach it; an overlay on disk outlives its daemon',
    })
  }
  const led = Object.entries(before.destinations).map(([url, to]) => [url, new URL(to)] as const)
  let tries = 0
  const patience = new Patience(Infinity, report)
  patience.useBegins()
  return new Persistence(patience).run(async () => {
    // What was there may have been replaced, too: every other time only the URLs themselves are asked.
    const destinations = new Map(tries++ % 2 === 0 ? led : [])
    const http = { ...plan.http, destinations }
    const served = await openForUse({ ...plan, http, openMs: Infinity }, report)
    if (served.identities.some((identity) => before.identities.includes(identity))) return served
    await served.source[Symbol.asyncDispose]()
    throw new SourceChanged('the image is not the one that the device was attached with', {
      where: { ...where, image: printable(plan.image) },
      advice: 'put the old version back, or start the server that has it',
    })
  })
}
