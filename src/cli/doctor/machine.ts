import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../../errors.ts'
import type { Options } from '../options.ts'
import { formatSize } from '../size.ts'
import { type Finding, bad, good, warning } from './finding.ts'

/** What of a machine matters to netcow; elsewhere than / and as someone else for tests. */
export interface Machine {
  readonly root: string
  readonly userId: number
}

export interface Needs {
  readonly cacheBytes: number
  /** What an overlay in memory may take; 0 without one. */
  readonly overlayBytes: number
}

/** Of a machine that lacks something. */
const REFUSED = 5
/** What the daemon takes without cache and overlay. */
const DAEMON_BYTES = 100 * 2 ** 20

export const THIS_MACHINE: Machine = { root: '/', userId: process.getuid?.() ?? -1 }

/**
 * Throws `UsageError` when a machine can never have what these options ask for. Returns what there is to
 * say when it has that only as long as the overlay is not full.
 */
export function requireMemory(
  machine: Machine,
  { cache, overlay }: Pick<Options, 'cache' | 'overlay'>,
): string | undefined {
  const overlayBytes = overlay?.kind === 'memory' ? (overlay.limitBytes ?? 0) : 0
  const { verdict, found, advice } = memory(machine, { cacheBytes: cache, overlayBytes })
  switch (verdict) {
    case 'good':
      return undefined
    case 'warning':
      return `memory may run out: ${found}; ${advice}`
    case 'bad':
      throw new UsageError(`there is too little memory: ${found}`, { ...(advice && { advice }) })
  }
}

export function checkMachine(machine: Machine, needs: Needs): Finding[] {
  return [rights(machine), ...driver(machine), memory(machine, needs)]
}

function rights({ userId }: Machine): Finding {
  if (userId === 0) return good('rights', 'root')
  return warning('rights', 'not root', 'attach and detach need root, serve and copy do not')
}

function driver({ root }: Machine): Finding[] {
  const loaded = existsSync(join(root, 'sys/module/nbd'))
  if (loaded) return [good('nbd driver', 'loaded'), ...devices(root)]
  const where = join(root, 'lib/modules', release())
  if (names(where, 'modules.builtin').some(isNbd)) {
    return [good('nbd driver', 'part of the kernel'), ...devices(root)]
  }
  if (names(where, 'modules.dep').some(isNbd)) return [good('nbd driver', 'not loaded, but there')]
  const advice = 'install the module nbd of this kernel, or put it into the initramfs'
  return [bad('nbd driver', `there is none for ${release()}`, advice, REFUSED)]
}

function isNbd(line: string): boolean {
  return /(?:^|\/)nbd\.ko(?:\.\w+)?(?::|$)/.test(line)
}

function names(folder: string, file: string): string[] {
  const path = join(folder, file)
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
}

function devices(root: string): Finding[] {
  const disks = readdirSync(join(root, 'sys/block')).filter((name) => /^nbd\d+$/.test(name))
  const free = disks.filter((name) => !existsSync(join(root, 'sys/block', name, 'pid')))
  const count = `${free.length} of ${disks.length} devices are free`
  // A device that is asked for by number is made when it is not there.
  const some = free.length > 0 ? good('devices', count) : warning('devices', count, MORE)
  const parameter = join(root, 'sys/module/nbd/parameters/max_part')
  if (!existsSync(parameter) || readFileSync(parameter, 'utf8').trim() !== '0') return [some]
  return [some, warning('partitions', 'the driver was loaded to show none', PARTITIONS)]
}

const MORE = 'detach one, or attach with --device /dev/nbdN and a higher number'
const PARTITIONS = 'load it again with modprobe nbd max_part=31'

function memory({ root }: Machine, { cacheBytes, overlayBytes }: Needs): Finding {
  const words = new Map(
    readFileSync(join(root, 'proc/meminfo'), 'utf8')
      .split('\n')
      .map((line) => line.split(/:\s+/))
      .map(([key = '', value = '']) => [key, Number.parseInt(value, 10) * 1024] as const),
  )
  const available = words.get('MemAvailable') ?? 0
  const fixed = DAEMON_BYTES + cacheBytes
  const wanted = `${formatSize(fixed)} for the daemon and its cache`
  const overlay = overlayBytes === 0 ? '' : `, up to ${formatSize(overlayBytes)} for the overlay`
  const found = `${formatSize(available)} available; ${wanted}${overlay}`
  if (fixed > available) return bad('memory', found, 'allow less cache', REFUSED)
  if (overlayBytes > (words.get('MemTotal') ?? 0)) {
    return bad(
      'memory',
      found,
      'allow less for the overlay: the machine has less than that',
      REFUSED,
    )
  }
  if (fixed + overlayBytes <= available) return good('memory', found)
  return warning('memory', found, 'allow less for the overlay, or see that it is never full')
}
