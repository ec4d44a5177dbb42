import { mkdtemp } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { userCache } from '../../qemu-harness/cache.ts'
import { run, runAsRoot } from '../../qemu-harness/command.ts'
import { debianImage } from '../../qemu-harness/image.ts'
import { oracleTree } from '../../qemu-harness/tree.ts'
import { Nginx, SLICES, slicing } from '../../test/fixtures/nginx.ts'
import { writeResults } from './results.ts'
import { median } from './statistics.ts'
import { table } from './table.ts'

/**
 * Many machines that boot from one nginx at the same moment: what each of them costs the server, and
 * what is left of it for the server when a caching nginx stands in front. The machines live in as
 * many processes as there are processors, and share them with the server.
 *
 *     npm run bench:many [-- --clients 1,10,50,200]
 */
const TRACE = join(import.meta.dirname, '../../qemu-harness/traces/debian12-boot.txt')
const CLIENT = join(import.meta.dirname, 'many-clients.ts')

interface Load {
  readonly clients: number
  readonly front: 'none' | 'cache'
  /** Of the slowest and of the middle one. */
  readonly slowestSeconds: number
  readonly medianSeconds: number
  /** Of the server that has the image. */
  readonly requests: number
  readonly bytes: number
  readonly processorSeconds: number
}

async function boot(url: string, clients: number): Promise<number[]> {
  const processes = Math.min(clients, availableParallelism())
  const shares = Array.from({ length: processes }, (_, index) =>
    Math.floor((clients + index) / processes),
  )
  const outputs = shares.map((share) => run([process.execPath, CLIENT, url, `${share}`, TRACE]))
  return (await Promise.all(outputs)).flatMap((text): number[] => JSON.parse(text))
}

async function load(
  clients: number,
  front: Load['front'],
  tree: string,
  folder: string,
): Promise<Load> {
  const root = `root ${folder.slice(tree.length)};`
  await using origin = await Nginx.start(tree, join(folder, `origin-${clients}-${front}`), root)
  const place = join(folder, `front-${clients}`)
  const [http, location] = slicing(place.slice(tree.length), origin.port)
  await using cache = front === 'cache' ? await Nginx.start(tree, place, location, http) : undefined
  const url = `http://127.0.0.1:${(cache ?? origin).port}/zlib.qcow2`
  const seconds = await boot(url, clients)
  return {
    clients,
    front,
    slowestSeconds: Math.max(...seconds),
    medianSeconds: median(seconds),
    ...(await origin.traffic()),
    processorSeconds: await origin.processorSeconds(),
  }
}

async function bench(counts: readonly number[]): Promise<void> {
  const cache = userCache()
  const tree = await oracleTree(cache, 'trixie')
  const kind = { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' } as const
  const { path } = await debianImage(cache, kind)
  const folder = await mkdtemp(join(tree, 'tmp/netcow-'))
  const loads: Load[] = []
  try {
    await runAsRoot(['ln', path, join(folder, 'zlib.qcow2')])
    for (const front of ['none', 'cache'] as const)
      for (const clients of counts) {
        const result = await load(clients, front, tree, folder)
        loads.push(result)
        console.error(JSON.stringify(result))
      }
  } finally {
    await runAsRoot(['rm', '-rf', folder])
  }
  report(loads)
  const bars = loads.map(({ clients, front, bytes }) => ({
    name: front === 'cache' ? `${clients}, cached` : `${clients}`,
    value: bytes,
    label: `${(bytes / 1e6).toFixed(0)} MB`,
  }))
  const title = 'What the server sends to machines that boot: less is better'
  await writeResults('many', title, loads, [{ title: 'machines', bars }])
}

function report(loads: readonly Load[]): void {
  const head = [
    ['machines', `cache of ${SLICES} slices`, 'median s', 'slowest s', 'MB each', 'requests each'],
    ['server MB', 'server requests', 'server processor s'],
  ].flat()
  const rows = loads.map((load) => [
    `${load.clients}`,
    load.front === 'cache' ? 'yes' : 'no',
    load.medianSeconds.toFixed(1),
    load.slowestSeconds.toFixed(1),
    (load.bytes / load.clients / 1e6).toFixed(1),
    (load.requests / load.clients).toFixed(0),
    (load.bytes / 1e6).toFixed(0),
    load.requests.toFixed(0),
    load.processorSeconds.toFixed(2),
  ])
  console.log(table(head, rows))
}

const { values } = parseArgs({
  options: { clients: { type: 'string', default: '1,10,50,200' } },
})
await bench(values.clients.split(',').map(Number))
