import { UsageError } from '../../errors.ts'
import type { Call, Command } from '../command.ts'
import { ask } from '../control.ts'
import type { DeviceStatus } from '../device-status.ts'
import { deviceIndex } from '../options.ts'
import { requireRoot } from '../rights.ts'
import { attachedDevices } from '../run-files.ts'
import { formatSize } from '../size.ts'

export const status: Command = {
  name: 'status',
  summary: 'what a device waits for, has fetched and holds',
  details: [
    'Shows the servers and how they are doing, what was fetched and is kept of it, the overlay and how full it is, and the memory of the daemon.',
  ],
  operands: ['[/dev/nbdN]'],
  options: ['json'],
  run: runStatus,
}

async function runStatus({ operands: [device], options, terminal }: Call): Promise<number> {
  requireRoot('ask the daemon of a device')
  const indexes = device === undefined ? attachedDevices() : [deviceIndex(device)]
  const statuses = await Promise.all(indexes.map(statusOf))
  if (options.json) {
    const shown = device === undefined ? statuses : statuses[0]
    await terminal.out(`${JSON.stringify(shown, undefined, 2)}\n`)
  } else await terminal.out(statuses.map(described).join('\n'))
  return 0
}

async function statusOf(index: number): Promise<DeviceStatus> {
  const answer = await ask(index, { kind: 'status' })
  if (answer.kind !== 'status') throw new UsageError('the daemon is of another version of netcow')
  return answer.status
}

/** A heading, and a line for each thing. */
export function described(status: DeviceStatus): string {
  const { sources, cache, overlay, memory, nowUptimeMs } = status
  const ago = (uptimeMs: number) => duration((nowUptimeMs - uptimeMs) / 1000)
  const facts: readonly (readonly [name: string, value: string])[] = [
    ['image', status.image],
    ['size', `${formatSize(status.sizeBytes)}, ${status.access}`],
    ['attached', `${ago(status.attachedAtUptimeMs)} ago`],
    ['daemon', `process ${status.pid}, for ${ago(status.daemonSinceUptimeMs)}`],
    ...sources.flatMap(sourceFacts),
    [
      'cache',
      `${formatSize(cache.heldBytes)} of ${formatSize(cache.limitBytes)}, ` +
        `${formatSize(cache.readBytes)} read from it`,
    ],
    ['overlay', overlay === null ? 'none' : overlayText(overlay)],
    [
      'memory',
      `${formatSize(memory.heapBytes)} of objects (${formatSize(memory.heapLimitBytes)} at most), ` +
        `${formatSize(memory.buffersBytes)} of buffers` +
        (memory.residentBytes === null ? '' : `, ${formatSize(memory.residentBytes)} resident`),
    ],
  ]
  const lines = facts.map(([name, value]) => `  ${`${name}:`.padEnd(10)} ${value}\n`)
  return `${status.device}\n${lines.join('')}`
}

function sourceFacts(source: DeviceStatus['sources'][number]): [name: string, value: string][] {
  const { url, waiting, servers, requests, receivedBytes } = source
  const traffic = `${requests} requests, ${formatSize(receivedBytes)}`
  const state =
    waiting === undefined
      ? 'answers'
      : `away for ${duration(waiting.waitedMs / 1000)}, try ${waiting.tries}, ` +
        `${waiting.reads} reads wait: ${waiting.reason}`
  const mirrors = servers.slice(1).map((server): [string, string] => {
    return ['mirror', `${server.url} ${server.state}, ${server.requests} requests`]
  })
  return [['source', `${url} ${state}; ${traffic}`], ...mirrors]
}

function overlayText(overlay: NonNullable<DeviceStatus['overlay']>): string {
  const { kind, usedBytes, limitBytes, waitingWrites } = overlay
  const percent = limitBytes === 0 ? 100 : Math.round((usedBytes / limitBytes) * 100)
  const waiting = waitingWrites === 0 ? '' : `, ${waitingWrites} writes wait for room`
  return `${kind}, ${formatSize(usedBytes)} of ${formatSize(limitBytes)} (${percent} %)${waiting}`
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 120) return `${whole} s`
  if (whole < 7200) return `${Math.round(whole / 60)} min`
  return `${Math.round(whole / 3600)} h`
}
