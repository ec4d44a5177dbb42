import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Read, parseTrace } from '../../qemu-harness/boot-trace.ts'
import { type Cache, userCache } from '../../qemu-harness/cache.ts'
import { run, runAsRoot } from '../../qemu-harness/command.ts'
import { debianImage } from '../../qemu-harness/image.ts'
import { step } from '../../qemu-harness/progress.ts'
import { oracleTree } from '../../qemu-harness/tree.ts'
import { Link, type LinkKind } from '../../test/fixtures/link.ts'
import { build } from '../build.ts'
import type { BarGroup } from './chart.ts'
import { chosen } from './choice.ts'
import { HTTP_PEERS, type HttpPeer, httpServerCommand } from './http-peers.ts'
import { NbdServerProcess } from './nbd-server.ts'
import { replay } from './replay.ts'
import { writeResults } from './results.ts'
import { median, medianRatio } from './statistics.ts'
import { table } from './table.ts'
import { touchedBytes } from './touched.ts'
import { Nginx, type WebTraffic } from '../../test/fixtures/nginx.ts'

/**
 * What a boot of Debian reads, read again through netcow and through qemu-nbd and nbdkit of Debian
 * 13, each started afresh: an image on nginx behind an emulated link, one read after the other
 * without a pause. The limit is what physics leaves: the bytes of the touched clusters over the
 * bandwidth, and two round trips. A round of everything takes a quarter of an hour, most of it
 * waiting for nbdkit without a cache.
 *
 *     npm run bench:http [-- --rounds 3 --images zlib --links 20ms --peers netcow,qemu-nbd]
 */
const TRACE = join(import.meta.dirname, '../../qemu-harness/traces/debian12-boot.txt')
const LINKS: Readonly<Record<string, LinkKind>> = {
  '2ms': { roundTripMs: 2, bitsPerSecond: 1e9 },
  '20ms': { roundTripMs: 20, bitsPerSecond: 200e6 },
  '80ms': { roundTripMs: 80, bitsPerSecond: 50e6 },
}
const IMAGES = ['zlib', 'plain'] as const

interface Round extends WebTraffic {
  readonly seconds: number
}

interface Measured {
  readonly image: string
  readonly link: string
  readonly touchedBytes: number
  readonly limitSeconds: number
  readonly peers: readonly {
    readonly peer: HttpPeer
    readonly seconds: number
    readonly bytes: number
    readonly requests: number
    /** How many times as long as netcow, of the runs of one round. */
    readonly ratio: number
    readonly rounds: readonly Round[]
  }[]
}

interface Choice {
  readonly rounds: number
  readonly images: readonly string[]
  readonly links: readonly string[]
  readonly peers: readonly HttpPeer[]
}

/** Everything that a run needs. */
interface Laboratory {
  readonly netcow: string
  readonly tree: string
  readonly folder: string
  readonly web: Nginx
  readonly reads: readonly Read[]
}

/** The image that the trace was recorded from, and the same disk uncompressed, by their names. */
async function images(cache: Cache): Promise<string> {
  const kind = { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' } as const
  const { path } = await debianImage(cache, kind)
  return cache.entry('bench-http', { path, version: 1 }, async (directory) => {
    await run(['mkdir', directory])
    await run(['cp', path, join(directory, 'zlib.qcow2')])
    await run(['qemu-img', 'convert', '-O', 'qcow2', path, join(directory, 'plain.qcow2')])
  })
}

/** One server, from its start to the last read. */
async function round(
  peer: HttpPeer,
  image: string,
  kind: LinkKind,
  { netcow, tree, folder, web, reads }: Laboratory,
): Promise<Round & { readonly digest: string }> {
  await web.forget()
  await using link = await Link.open(web.port, kind)
  const url = `http://127.0.0.1:${link.port}/${image}.qcow2`
  const socket = join(folder, 'socket')
  const command = httpServerCommand(peer, { url, socket, netcow, tree })
  const replayed = await (async () => {
    await using _server = await NbdServerProcess.start(command, socket)
    return await replay(socket, reads)
  })()
  await runAsRoot(['rm', '-f', socket])
  return { ...replayed, ...(await web.traffic()) }
}

async function measured(
  image: string,
  linkName: string,
  path: string,
  { rounds, peers }: Choice,
  laboratory: Laboratory,
): Promise<Measured> {
  const kind = LINKS[linkName]!
  const lists = peers.map((): Round[] => [])
  const digests = new Set<string>()
  for (let turn = 0; turn < rounds; turn++)
    for (const [index, peer] of peers.entries()) {
      const { digest, ...result } = await round(peer, image, kind, laboratory)
      digests.add(digest)
      lists[index]?.push(result)
      const { seconds, requests, bytes } = result
      console.error(
        `${image} ${linkName} ${peer}: ${seconds.toFixed(2)} s, ${requests} requests, ${(bytes / 1e6).toFixed(1)} MB`,
      )
    }
  if (digests.size > 1) throw new Error(`the servers disagree about ${image}`)
  const touched = await touchedBytes(path, laboratory.reads)
  const walls = lists.map((list) => list.map(({ seconds }) => seconds))
  return {
    image,
    link: linkName,
    touchedBytes: touched,
    limitSeconds: (touched * 8) / kind.bitsPerSecond + (2 * kind.roundTripMs) / 1000,
    peers: peers.map((peer, index) => ({
      peer,
      seconds: median(walls[index] ?? []),
      bytes: median((lists[index] ?? []).map(({ bytes }) => bytes)),
      requests: median((lists[index] ?? []).map(({ requests }) => requests)),
      ratio: medianRatio(walls[index] ?? [], walls[0] ?? []),
      rounds: lists[index] ?? [],
    })),
  }
}

async function bench(choice: Choice): Promise<void> {
  const cache = userCache()
  const netcow = await step('Build dist/netcow', build)
  const tree = await oracleTree(cache, 'trixie')
  const made = await images(cache)
  const reads = parseTrace(await readFile(TRACE, 'utf8'))
  const folder = await mkdtemp(join(tree, 'tmp/netcow-'))
  const results: Measured[] = []
  try {
    // nginx must see them within the tree; a link needs no room.
    await runAsRoot(['sh', '-c', 'ln "$1"/*.qcow2 "$2"', 'sh', made, folder])
    const root = folder.slice(tree.length)
    await using web = await Nginx.start(tree, join(folder, 'web'), `root ${root};`)
    for (const image of choice.images)
      for (const link of choice.links) {
        const path = join(made, `${image}.qcow2`)
        results.push(
          await measured(image, link, path, choice, { netcow, tree, folder, web, reads }),
        )
      }
  } finally {
    await runAsRoot(['rm', '-rf', folder])
  }
  report(results)
  const title = 'Seconds to read what a boot reads, over HTTP: less is better'
  await writeResults('http', title, results, results.map(barsOf))
}

function report(results: readonly Measured[]): void {
  const head = [
    'image',
    'link',
    'server',
    's',
    'MB',
    'of touched',
    'requests',
    'of limit',
    'netcow',
  ]
  const rows = results.flatMap(({ image, link, touchedBytes, limitSeconds, peers }) =>
    peers.map(({ peer, seconds, bytes, requests, ratio }) => [
      image,
      link,
      peer,
      seconds.toFixed(2),
      (bytes / 1e6).toFixed(1),
      `${(bytes / touchedBytes).toFixed(2)} x`,
      requests.toFixed(0),
      `${(seconds / limitSeconds).toFixed(1)} x`,
      `${ratio.toFixed(2)} x`,
    ]),
  )
  console.log(table(head, rows))
}

function barsOf({ image, link, limitSeconds, peers }: Measured): BarGroup {
  const limit = { name: 'limit', value: limitSeconds, label: `${limitSeconds.toFixed(2)} s` }
  const bars = peers.map(({ peer, seconds, bytes, requests }) => ({
    name: peer,
    value: seconds,
    label: `${seconds.toFixed(2)} s, ${(bytes / 1e6).toFixed(0)} MB, ${requests} requests`,
  }))
  return { title: `${image}, ${link}`, bars: [...bars, limit] }
}

const linkNames = Object.keys(LINKS)
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    images: { type: 'string', default: IMAGES.join(',') },
    links: { type: 'string', default: linkNames.join(',') },
    peers: { type: 'string', default: HTTP_PEERS.join(',') },
  },
})
await bench({
  rounds: Number(values.rounds),
  images: chosen(IMAGES, values.images),
  links: chosen(linkNames, values.links),
  peers: chosen(HTTP_PEERS, values.peers),
})
