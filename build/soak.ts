import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { daemonEnvironment } from '../src/cli/launch.ts'
import { type Options, parseOptions } from '../src/cli/options.ts'
import { UsageError } from '../src/errors.ts'
import { RangeServer } from '../test/fixtures/range-server.ts'
import { build } from './build.ts'

/**
 * Serves an image over HTTP, with the memory of a daemon, for as long as you like, under random reads
 * and writes and with a server that fails now and then, and reports what the process takes:
 *
 *     npm run soak -- --seconds 3600 [--cache 16M] [--overlay 64M]
 *
 * Exit code 1 if a request failed, if it takes more in the second half than in the first, or more than what
 * its options and the program account for.
 */

const MEBIBYTE = 2 ** 20
const IMAGE_BYTES = 256 * MEBIBYTE
/** How often memory is looked at, and how often the server fails. */
const LOOK_MS = 1000
const FAULT_EVERY_LOOKS = 7
/** What V8 may hold more of by chance. */
const SLACK_BYTES = 24 * MEBIBYTE
/**
 * What the program takes beside cache and overlay, generously: its heap and its code, the buffers of
 * requests under way, and what malloc keeps.
 */
const PROGRAM_BYTES = 160 * MEBIBYTE
/** What the caches and the overlay need to fill. */
const WARM_UP_SHARE = 0.2

interface Look {
  readonly anonymous: number
  readonly file: number
  readonly peak: number
}

async function soak(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      cache: { type: 'string', default: '16M' },
      overlay: { type: 'string', default: '64M' },
    },
  })
  const seconds = Number(values.seconds)
  const directory = await mkdtemp(join(tmpdir(), 'netcow-soak-'))
  try {
    const image = await makeImage(directory)
    await using server = await RangeServer.open({ '/image.qcow2': { file: image } })
    const socket = join(directory, 'socket')
    const overlay = `memory:${values.overlay}`
    const options = ['--cache', values.cache, '--overlay', overlay]
    const bounds = parseOptions({ cache: values.cache, overlay }, (name) => `--${name}`)
    const daemon = spawn(
      await build(),
      ['serve', server.url('/image.qcow2'), '--socket', socket, '--log', 'info', ...options],
      { stdio: ['ignore', 'ignore', 'pipe'], env: daemonEnvironment(bounds) },
    )
    await once(daemon.stderr, 'data')
    daemon.stderr.resume()
    const load = startLoad(socket, seconds)
    const looks = await watch(daemon.pid!, server, load.over)
    daemon.kill('SIGTERM')
    return report(looks, await load.over, { ...values, seconds, mostBytes: mostBytes(bounds) })
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Half of it can be packed and half cannot, in turn. */
async function makeImage(directory: string): Promise<string> {
  const raw = join(directory, 'raw')
  const image = join(directory, 'image.qcow2')
  const pieces = Array.from({ length: IMAGE_BYTES / MEBIBYTE }, (_, index) => {
    return index % 2 === 0 ? randomBytes(MEBIBYTE) : Buffer.alloc(MEBIBYTE, `${index} netcow `)
  })
  await writeFile(raw, pieces)
  const format = ['-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd']
  execFileSync('qemu-img', ['convert', '-c', ...format, raw, image])
  await rm(raw)
  return image
}

/** Reads everywhere, and writes where the overlay has room for it. */
function startLoad(socket: string, seconds: number): { readonly over: Promise<number> } {
  const everywhere = ['--ioengine=nbd', `--uri=nbd+unix:///?socket=${socket}`, '--time_based']
  const fio = spawn(
    'fio',
    [
      ['--output=/dev/null', `--runtime=${seconds}`, '--iodepth=16', '--bsrange=4k-256k'],
      ['--name=reads', ...everywhere, '--rw=randread', `--size=${IMAGE_BYTES}`],
      ['--name=writes', ...everywhere, '--rw=randwrite', `--size=${32 * MEBIBYTE}`],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  return { over: once(fio, 'exit').then(([code]) => Number(code ?? 1)) }
}

async function watch(pid: number, server: RangeServer, over: Promise<unknown>): Promise<Look[]> {
  const looks: Look[] = []
  let running = true
  const ended = over.finally(() => (running = false))
  while (running) {
    looks.push(await look(pid))
    if (looks.length % FAULT_EVERY_LOOKS === 0) {
      server.faults.push({ kind: 'status', status: 503 }, { kind: 'delay', delayMs: 200 })
    }
    await Promise.race([sleep(LOOK_MS), ended])
  }
  return looks
}

async function look(pid: number): Promise<Look> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => {
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024
  }
  return { anonymous: field('RssAnon'), file: field('RssFile'), peak: field('VmHWM') }
}

/** What a daemon of these options may have of memory that no file backs. */
export function mostBytes({ cache, overlay }: Pick<Options, 'cache' | 'overlay'>): number {
  const limitBytes = overlay?.kind === 'memory' ? overlay.limitBytes : 0
  if (limitBytes === undefined) throw new UsageError('the overlay needs a size here')
  return PROGRAM_BYTES + cache + limitBytes
}

/** The most that was seen in each half, once it was warm. */
function halves(looks: readonly Pick<Look, 'anonymous'>[]): readonly [number, number] {
  const warm = looks.slice(Math.floor(looks.length * WARM_UP_SHARE))
  const half = Math.floor(warm.length / 2)
  return [most(warm.slice(0, half)), most(warm.slice(half))]
}

function most(looks: readonly Pick<Look, 'anonymous'>[]): number {
  return looks.reduce((largest, { anonymous }) => Math.max(largest, anonymous), 0)
}

/** What is wrong with the memory that was seen. */
export function complaints(
  looks: readonly Pick<Look, 'anonymous'>[],
  boundBytes: number,
): readonly string[] {
  const [first, second] = halves(looks)
  return [
    second > first + SLACK_BYTES && `it takes ${shown(second - first)} more in the second half`,
    most(looks) > boundBytes &&
      `it takes ${shown(most(looks))}, and ${shown(boundBytes)} is the most`,
  ].filter((line) => line !== false)
}

function shown(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(1)} MiB`
}

function report(
  looks: readonly Look[],
  loadExit: number,
  plan: {
    readonly seconds: number
    readonly cache: string
    readonly overlay: string
    readonly mostBytes: number
  },
): number {
  const [first, second] = halves(looks)
  const last = looks.at(-1)
  console.log(
    [
      `${plan.seconds} s with a cache of ${plan.cache} and an overlay of ${plan.overlay}:`,
      `anonymous memory ${shown(first)} at most in the first half, ${shown(second)} in the second,`,
      `${shown(last?.file ?? 0)} of files, ${shown(last?.peak ?? 0)} resident at most`,
    ].join(' '),
  )
  if (loadExit !== 0) console.error(`fio ended with ${loadExit}: a request failed`)
  const wrong = complaints(looks, plan.mostBytes)
  for (const line of wrong) console.error(line)
  return loadExit === 0 && wrong.length === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = await soak()
