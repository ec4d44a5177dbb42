import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Cache, userCache } from '../qemu-harness/cache.ts'
import { asRoot, run, runAsRoot } from '../qemu-harness/command.ts'
import { debianImage } from '../qemu-harness/image.ts'
import { step } from '../qemu-harness/progress.ts'
import { oracleTree } from '../qemu-harness/tree.ts'
import { build } from './build.ts'

/**
 * Reads whole images of 1 GiB and throws the bytes away: `netcow copy IMAGE /dev/null`, the
 * qemu-img of this machine and of Debian 13 to a null target, and the qcow2dec filter of nbdkit.
 * `sparse` is the root file system that guests boot, an eighth full; `dense` is what it holds,
 * over and over, so that starting the program does not count.
 *
 *     npm run bench:format [-- --rounds 7]
 */
const ROUNDS = 7
const RESULTS = 'results/bench-format.json'
const DISK_BYTES = 2 ** 30
const BLOCK_BYTES = 64 * 1024
const NULL_TARGET = `driver=null-co,size=${DISK_BYTES}`
const KINDS = {
  plain: [],
  zlib: ['-c', '-o', 'compression_type=zlib'],
  zstd: ['-c', '-o', 'compression_type=zstd'],
}

interface Tool {
  readonly name: string
  readonly command: (image: string) => readonly string[]
}

/** Seconds on the clock, and of all processors together. */
interface Cost {
  readonly wall: number
  readonly processor: number
}

/** The images of the two disks: made once, read in place from within the tree, by their names. */
async function images(cache: Cache): Promise<string> {
  const { path } = await debianImage(cache, {
    suite: 'trixie',
    layout: 'filesystem',
    compression: 'zstd',
  })
  const inputs = { path: basename(join(path, '..')), KINDS, BLOCK_BYTES, version: 1 }
  return cache.entry('bench-format', inputs, (directory) =>
    step('Images to measure with', async () => {
      await mkdir(directory)
      const [sparse, dense] = [join(directory, 'sparse'), join(directory, 'dense')]
      await run(['qemu-img', 'convert', '-O', 'raw', path, sparse])
      await repeat(sparse, dense)
      for (const disk of [sparse, dense]) {
        for (const [kind, options] of Object.entries(KINDS)) {
          const words = ['-f', 'raw', '-O', 'qcow2', ...options, disk, `${disk}-${kind}.qcow2`]
          await run(['qemu-img', 'convert', ...words])
        }
        await rm(disk)
      }
    }),
  )
}

/** Fills a disk with the blocks of another one that are not empty. */
async function repeat(from: string, to: string): Promise<void> {
  await using source = await open(from)
  await using target = await open(to, 'w')
  const block = Buffer.alloc(BLOCK_BYTES)
  const empty = Buffer.alloc(BLOCK_BYTES)
  for (let at = 0, written = 0; written < DISK_BYTES; at = (at + BLOCK_BYTES) % DISK_BYTES) {
    await source.read(block, 0, BLOCK_BYTES, at)
    if (block.equals(empty)) continue
    await target.write(block, 0, BLOCK_BYTES, written)
    written += BLOCK_BYTES
  }
}

function tools(netcow: string, tree: string): Tool[] {
  const within = (image: string) => image.slice(tree.length)
  const convert = ['qemu-img', 'convert', '-n', '-f', 'qcow2', '--target-image-opts']
  const nbdkit = ['nbdkit', '--unix', '-', '--filter=qcow2dec', 'file']
  return [
    { name: 'netcow', command: (image) => [netcow, 'copy', image, '/dev/null'] },
    { name: 'qemu-img', command: (image) => [...convert, image, NULL_TARGET] },
    {
      name: 'qemu-img of Debian 13',
      command: (image) => asRoot(['chroot', tree, ...convert, within(image), NULL_TARGET]),
    },
    {
      name: 'nbdkit qcow2dec',
      command: (image) =>
        asRoot(['chroot', tree, ...nbdkit, within(image), '--run', 'nbdcopy "$uri" null:']),
    },
  ]
}

/** The shell knows what its children took of the processors. */
async function cost(command: readonly string[]): Promise<Cost> {
  const begin = performance.now()
  const output = await run(['sh', '-c', '"$@" >&2 && times', 'sh', ...command])
  const wall = (performance.now() - begin) / 1000
  const children = output.trim().split('\n').at(-1) ?? ''
  const times = [...children.matchAll(/(\d+)m([\d.]+)s/g)]
  return { wall, processor: times.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0) }
}

/** One after the other, round by round, so that what else the machine does hits all of them. */
async function measured(image: string, tools: readonly Tool[], rounds: number) {
  const costs = new Map<string, Cost[]>(tools.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const { name, command } of tools) {
      const taken = await cost(command(image))
      // The first round fills caches.
      if (round > 0) costs.get(name)?.push(taken)
    }
  }
  const own = costs.get('netcow') ?? []
  return [...costs].map(([tool, list]) => ({
    tool,
    wall: median(list.map(({ wall }) => wall)),
    processor: median(list.map(({ processor }) => processor)),
    /** How many times as long as netcow, of the runs of one round. */
    ratio: median(list.map(({ wall }, round) => wall / own[round]!.wall)),
    rounds: list,
  }))
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN
}

async function bench(rounds: number): Promise<void> {
  const cache = userCache()
  const netcow = await step('Build dist/netcow', build)
  const tree = await oracleTree(cache, 'trixie')
  const made = await images(cache)
  const folder = await mkdtemp(join(tree, 'tmp/netcow-'))
  const results = []
  try {
    // What is read must be seen within the tree; a link needs no room.
    await runAsRoot([
      'cp',
      '--link',
      ...(await run(['find', made, '-type', 'f'])).trim().split('\n'),
      folder,
    ])
    console.log(row('', 'tool', 'seconds', 'processor', 'times netcow'))
    for (const disk of ['sparse', 'dense'])
      for (const kind of Object.keys(KINDS)) {
        const name = `${disk}-${kind}`
        const list = await measured(join(folder, `${name}.qcow2`), tools(netcow, tree), rounds)
        results.push({ image: name, tools: list })
        for (const { tool, wall, processor, ratio } of list)
          console.log(row(name, tool, wall.toFixed(3), processor.toFixed(3), ratio.toFixed(2)))
      }
  } finally {
    await runAsRoot(['rm', '-rf', folder])
  }
  await mkdir('results', { recursive: true })
  await writeFile(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`)
  console.log(`every round is in ${resolve(RESULTS)}`)
}

function row(image: string, tool: string, ...numbers: readonly string[]): string {
  const cells = numbers.map((text) => text.padStart(13))
  return [image.padEnd(14), tool.padEnd(23), ...cells].join('')
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: `${ROUNDS}` } } })
await bench(Number(values.rounds))
