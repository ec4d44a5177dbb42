import { createReadStream } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { userCache } from '../../qemu-harness/cache.ts'
import { runAsRoot } from '../../qemu-harness/command.ts'
import { step } from '../../qemu-harness/progress.ts'
import { oracleTree } from '../../qemu-harness/tree.ts'
import { build } from '../build.ts'
import type { BarGroup } from './chart.ts'
import { chosen } from './choice.ts'
import { type FioResult, type Load, fio } from './fio.ts'
import { images } from './images.ts'
import { NbdServerProcess } from './nbd-server.ts'
import { PEERS, type Peer, serverCommand } from './peers.ts'
import { writeResults } from './results.ts'
import { inTurn, median, medianRatio } from './statistics.ts'
import { table } from './table.ts'

/**
 * The same fio, with its NBD client, reads the same files through netcow and through qemu-nbd and
 * nbdkit of Debian 13, in turn; client and server share the machine. Writes go to an overlay:
 * memory, a temporary snapshot, and the cow filter.
 *
 *     npm run bench:nbd [-- --rounds 5 --seconds 1.5 --images raw,zstd --loads 4k-32 --peers qemu-nbd --cache 2G]
 */
const KIBIBYTE = 1024
/** What is read again and again: less than any of the servers remembers. */
const HOT_BYTES = 2 ** 25
/** Random writes stay within this much of the disk, or memory would be what is measured. */
const WRITTEN_BYTES = 2 ** 28
const LOADS: readonly Load[] = [
  { name: '4k-1', access: 'randread', blockBytes: 4 * KIBIBYTE, depth: 1 },
  { name: '4k-32', access: 'randread', blockBytes: 4 * KIBIBYTE, depth: 32 },
  { name: '4k-32-hot', access: 'randread', blockBytes: 4 * KIBIBYTE, depth: 32, within: HOT_BYTES },
  { name: '64k-8', access: 'randread', blockBytes: 64 * KIBIBYTE, depth: 8 },
  { name: '64k-sequential', access: 'read', blockBytes: 64 * KIBIBYTE, depth: 1 },
  { name: '1m-sequential', access: 'read', blockBytes: 1024 * KIBIBYTE, depth: 4 },
  {
    name: '4k-write',
    access: 'randwrite',
    blockBytes: 4 * KIBIBYTE,
    depth: 32,
    within: WRITTEN_BYTES,
  },
]
const IMAGES = ['raw', 'plain', 'zlib', 'zstd'] as const

interface Measured {
  readonly image: string
  readonly load: string
  readonly servers: readonly {
    readonly server: string
    readonly requestsPerSecond: number
    readonly megabytesPerSecond: number
    readonly medianMicroseconds: number
    /** How many times as many requests netcow answers, of the runs of one round. */
    readonly ratio: number
    /** Most memory resident up to here, with everything measured before on the same image. */
    readonly peakBytes: number
    /** What the server took of all processors for one request. */
    readonly processorMicroseconds: number
    readonly rounds: readonly Run[]
  }[]
}

interface Choice {
  readonly rounds: number
  readonly seconds: number
  readonly images: readonly string[]
  readonly loads: readonly Load[]
  readonly peers: readonly Peer[]
  readonly netcow: string
  readonly cache: string
  readonly tree: string
}

async function measured(folder: string, image: string, choice: Choice): Promise<Measured[]> {
  const results: Measured[] = []
  await intoPageCache(pathOf(folder, image))
  for (const writable of [false, true]) {
    const loads = choice.loads.filter(({ access }) => (access === 'randwrite') === writable)
    if (loads.length > 0)
      results.push(...(await underLoads(folder, image, writable, loads, choice)))
  }
  return results
}

const pathOf = (folder: string, image: string) =>
  join(folder, image === 'raw' ? 'dense.raw' : `dense-${image}.qcow2`)

/** The servers are measured and not the disk: whoever is first must not be who waits for it. */
async function intoPageCache(path: string): Promise<void> {
  await finished(createReadStream(path).resume())
}

async function underLoads(
  folder: string,
  image: string,
  writable: boolean,
  loads: readonly Load[],
  { rounds, seconds, peers, netcow, cache, tree }: Choice,
): Promise<Measured[]> {
  await using stack = new AsyncDisposableStack()
  const path = pathOf(folder, image)
  const servers: NbdServerProcess[] = []
  for (const peer of peers) {
    const socket = join(folder, `${image}-${peer}-${writable ? 'write' : 'read'}`)
    const command = serverCommand(peer, { path, socket, writable, netcow, cache, tree })
    servers.push(stack.use(await NbdServerProcess.start(command, socket)))
  }
  const results: Measured[] = []
  for (const load of loads) {
    const lists = await inTurn(servers, rounds, (server) => run(tree, server, load, seconds))
    const peaks = await Promise.all(servers.map((server) => server.peakBytes()))
    const rates = lists.map((list) => list.map(({ requestsPerSecond }) => requestsPerSecond))
    console.log(
      `${image}, ${load.name}: ${rates.map((list) => median(list).toFixed(0)).join(' : ')}`,
    )
    results.push({
      image,
      load: load.name,
      servers: lists.map((list, index) => ({
        server: peers[index] ?? '',
        requestsPerSecond: median(rates[index] ?? []),
        megabytesPerSecond: median(list.map(({ bytesPerSecond }) => bytesPerSecond / 1e6)),
        medianMicroseconds: median(list.map(({ medianMicroseconds }) => medianMicroseconds)),
        ratio: medianRatio(rates[0] ?? [], rates[index] ?? []),
        processorMicroseconds: median(
          list.map(({ processorMicroseconds }) => processorMicroseconds),
        ),
        peakBytes: peaks[index] ?? NaN,
        rounds: list,
      })),
    })
  }
  return results
}

interface Run extends FioResult {
  readonly processorMicroseconds: number
}

async function run(
  tree: string,
  server: NbdServerProcess,
  load: Load,
  seconds: number,
): Promise<Run> {
  const before = await server.processorSeconds()
  const result = await fio(tree, server.socket, load, seconds)
  const taken = (await server.processorSeconds()) - before
  return { ...result, processorMicroseconds: (taken * 1e6) / result.requests }
}

async function bench(choice: Omit<Choice, 'netcow' | 'tree'>): Promise<void> {
  const cache = userCache()
  const netcow = await step('Build dist/netcow', build)
  const tree = await oracleTree(cache, 'trixie')
  const made = await images(cache)
  const folder = await mkdtemp(join(tree, 'tmp/netcow-'))
  const results: Measured[] = []
  try {
    // What is read must be seen within the tree; a link needs no room.
    await runAsRoot(['sh', '-c', 'ln "$1"/dense* "$2"', 'sh', made, folder])
    for (const image of choice.images)
      results.push(...(await measured(folder, image, { ...choice, netcow, tree })))
  } finally {
    await runAsRoot(['rm', '-rf', folder])
  }
  report(results)
  const title = 'Requests per second of fio through NBD: more is better'
  await writeResults('nbd', title, results, results.map(barsOf))
}

function report(results: readonly Measured[]): void {
  const head = [
    'image',
    'load',
    'server',
    'requests/s',
    'netcow is',
    'median µs',
    'CPU µs',
    'peak MB',
  ]
  const rows = results.flatMap(({ image, load, servers }) =>
    servers.map((each) => [
      image,
      load,
      each.server,
      each.requestsPerSecond.toFixed(0),
      `${each.ratio.toFixed(2)} x`,
      each.medianMicroseconds.toFixed(0),
      each.processorMicroseconds.toFixed(1),
      (each.peakBytes / 1e6).toFixed(0),
    ]),
  )
  console.log(table(head, rows))
}

function barsOf({ image, load, servers }: Measured): BarGroup {
  const bars = servers.map(({ server, requestsPerSecond, ratio }) => ({
    name: server,
    value: requestsPerSecond,
    label: `${requestsPerSecond.toFixed(0)}${server === 'netcow' ? '' : ` (netcow ${ratio.toFixed(2)} x)`}`,
  }))
  return { title: `${image}, ${load}`, bars }
}

const names = LOADS.map(({ name }) => name)
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1.5' },
    images: { type: 'string', default: IMAGES.join(',') },
    loads: { type: 'string', default: names.join(',') },
    peers: { type: 'string', default: PEERS.join(',') },
    cache: { type: 'string', default: '64M' },
  },
})
const loads = chosen(names, values.loads)
await bench({
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  images: chosen(IMAGES, values.images),
  loads: LOADS.filter(({ name }) => loads.includes(name)),
  peers: chosen(PEERS, values.peers),
  cache: values.cache,
})
