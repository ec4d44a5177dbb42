import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import * as z from 'zod/mini'

/** What runs, in files that outlive the initramfs: /run/netcow/nbdN.json, one for each device. */

const DIRECTORY = '/run/netcow'

const DeviceStatus = z.object({
  device: z.string(),
  pid: z.number(),
  image: z.string(),
  sizeBytes: z.number(),
  access: z.literal(['read-only', 'read-write']),
  /** Milliseconds from the start of the machine to the attach. */
  attachedAtUptimeMs: z.number(),
})
export type DeviceStatus = z.infer<typeof DeviceStatus>

export function readStatus(index: number): DeviceStatus {
  return DeviceStatus.parse(JSON.parse(readFileSync(`${DIRECTORY}/nbd${index}.json`, 'utf8')))
}

export function writeStatus(index: number, status: DeviceStatus): void {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 })
  const path = `${DIRECTORY}/nbd${index}.json`
  writeFileSync(`${path}.new`, `${JSON.stringify(status)}\n`)
  renameSync(`${path}.new`, path)
}

export function removeStatus(index: number): void {
  rmSync(`${DIRECTORY}/nbd${index}.json`, { force: true })
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

function listed(): string[] {
  try {
    return readdirSync(DIRECTORY)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
