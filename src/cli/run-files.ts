import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import * as z from 'zod/mini'
import { DeviceNotOurs, KernelRefused, codeOf } from '../errors.ts'
import { DeviceFacts } from './device-status.ts'

/**
 * What runs, in files that outlive the initramfs: for each device /run/netcow/nbdN.json, for
 * everyone to read, nbdN.resume, with which root can start another daemon for it, and nbdN.lock, which
 * the daemon holds.
 */

export const RUN_DIRECTORY = '/run/netcow'
/** sysvinit's last script kills everything but the processes named in files there. */
const SPARED = '/run/sendsigs.omit.d'

const ResumeRecord = z.object({
  /** The words of the attach, without the device. May hold what is nobody's business. */
  argv: z.array(z.string()),
  /** What relative paths in them are relative to. */
  directory: z.string(),
  index: z.number(),
  /** Of what the device is read from: one of them is enough. */
  identities: z.array(z.string()),
  /** Where the redirects of its files led, by their URLs, for when these lead to a newer version. */
  destinations: z._default(z.record(z.string(), z.url()), {}),
  attachedAtUptimeMs: z.number(),
})
export type ResumeRecord = z.infer<typeof ResumeRecord>

/** The words with which a daemon takes the device over. */
export function resumeArgv({ argv, index }: ResumeRecord): string[] {
  return [...argv, `--resume=/dev/nbd${index}`]
}

/** Everyone may look into it, whatever the umask of whoever was the first to attach something. */
export function makeRunDirectory(): void {
  const made = mkdirSync(RUN_DIRECTORY, { recursive: true })
  if (made !== undefined) chmodSync(RUN_DIRECTORY, 0o755)
}

export function writeFacts(index: number, facts: DeviceFacts): void {
  mkdirSync(SPARED, { recursive: true })
  writeFileSync(`${SPARED}/netcow-nbd${index}`, `${facts.pid}\n`)
  replace(`nbd${index}.json`, facts, 0o644)
}

export function readFacts(index: number): DeviceFacts {
  return DeviceFacts.parse(read(`nbd${index}.json`, index))
}

export function writeResumeRecord(record: ResumeRecord): void {
  replace(`nbd${record.index}.resume`, record, 0o600)
}

/** Throws `DeviceNotOurs` if netcow has not attached this device. */
export function readResumeRecord(index: number): ResumeRecord {
  return ResumeRecord.parse(read(`nbd${index}.resume`, index))
}

/** All there is about the device, the socket of a daemon that was killed, too. */
export function removeRunFiles(index: number): void {
  for (const kind of ['json', 'resume', 'sock', 'lock']) {
    rmSync(`${RUN_DIRECTORY}/nbd${index}.${kind}`, { force: true })
  }
  rmSync(`${SPARED}/netcow-nbd${index}`, { force: true })
}

/** The N of every /dev/nbdN that netcow attached, in order. */
export function attachedDevices(): number[] {
  const names = listed().map((name) => /^nbd(\d+)\.json$/.exec(name)?.[1])
  return names
    .flatMap((digits) => (digits === undefined ? [] : [Number(digits)]))
    .toSorted(byNumber)
}

function byNumber(left: number, right: number): number {
  return left - right
}

function replace(name: string, content: unknown, mode: number): void {
  makeRunDirectory()
  const path = `${RUN_DIRECTORY}/${name}`
  rmSync(`${path}.new`, { force: true })
  writeFileSync(`${path}.new`, `${JSON.stringify(content)}\n`, { mode })
  chmodSync(`${path}.new`, mode)
  renameSync(`${path}.new`, path)
}

function read(name: string, index: number): unknown {
  try {
    return JSON.parse(readFileSync(`${RUN_DIRECTORY}/${name}`, 'utf8'))
  } catch (cause) {
    if (!isMissing(cause)) throw forRoot(cause)
    throw new DeviceNotOurs('the device was not attached by netcow', {
      where: { device: `/dev/nbd${index}` },
      advice: 'see netcow list',
      cause,
    })
  }
}

function listed(): string[] {
  try {
    return readdirSync(RUN_DIRECTORY)
  } catch (error) {
    if (isMissing(error)) return []
    throw forRoot(error)
  }
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT'
}

/** Said to others than root where the directory was closed to them. */
function forRoot(cause: unknown): unknown {
  if (codeOf(cause) !== 'EACCES') return cause
  return new KernelRefused(`only root may look into ${RUN_DIRECTORY}`, {
    advice: 'run it with sudo',
    cause,
  })
}
