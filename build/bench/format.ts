import { mkdtemp } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { userCache } from '../../qemu-harness/cache.ts'
import { asRoot, run, runAsRoot } from '../../qemu-harness/command.ts'
import { step } from '../../qemu-harness/progress.ts'
import { oracleTree } from '../../qemu-harness/tree.ts'
import { build } from '../build.ts'
import { chosen } from './choice.ts'
import { DISK_BYTES, KINDS, images } from './images.ts'
import { writeResults } from './results.ts'
import { inTurn, median, medianRatio } from './statistics.ts'
import { table } from './table.ts'

/**
 * Reads whole images of 1 GiB and throws the bytes away: `netcow copy IMAGE /dev/null`, the
 * qemu-img of this machine and of Debian 13 to a null target, and the qcow2dec filter of nbdkit.
 * `sparse` is the root file system that guests boot, an eighth full; `dense` is what it holds,
 * over and over, so that starting the program does not count.
 *
 *     npm run bench:format [-- --rounds 7 --images dense-plain,dense-zstd]
 */
const ROUNDS = 7
const NULL_TARGET = `driver=null-co,size=${DISK_BYTES}`
interface Tool {
  readonly name: string
  readonly command: (image: string) => readonly string[]
}

/** Seconds on the clock, and of all processors together. */
interface Cost {
  readonly wall: number
  readonly processor: number
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

interface Measured {
  readonly image: string
  readonly tools: readonly {
    readonly tool: string
    readonly wall: number
    readonly processor: number
    /** How many times as long as netcow, of the runs of one round. */
    readonly ratio: number
    readonly rounds: readonly Cost[]
  }[]
}

async function measured(path: string, tools: readonly Tool[], rounds: number): Promise<Measured> {
  const costs = await inTurn(tools, rounds, ({ command }) => cost(command(path)))
  const walls = costs.map((list) => list.map(({ wall }) => wall))
  const own = walls[0] ?? []
  return {
    image: basename(path, '.qcow2'),
    tools: tools.map(({ name }, index) => ({
      tool: name,
      wall: median(walls[index] ?? []),
      processor: median((costs[index] ?? []).map(({ processor }) => processor)),
      ratio: medianRatio(walls[index] ?? [], own),
      rounds: costs[index] ?? [],
    })),
  }
}

async function bench(rounds: number, names: readonly string[]): Promise<void> {
  const cache = userCache()
  const netcow = await step('Build dist/netcow', build)
  const tree = await oracleTree(cache, 'trixie')
  const made = await images(cache)
  const folder = await mkdtemp(join(tree, 'tmp/netcow-'))
  const results: Measured[] = []
  try {
    // What is read must be seen within the tree; a link needs no room.
    await runAsRoot(['cp', '--link', ...names.map((name) => join(made, `${name}.qcow2`)), folder])
    for (const name of names)
      results.push(await measured(join(folder, `${name}.qcow2`), tools(netcow, tree), rounds))
  } finally {
    await runAsRoot(['rm', '-rf', folder])
  }
  const rows = results.flatMap(({ image, tools }) =>
    tools.map(({ tool, wall, processor, ratio }) => [
      image,
      tool,
      wall.toFixed(3),
      processor.toFixed(3),
      ratio.toFixed(2),
    ]),
  )
  console.log(table(['image', 'tool', 'seconds', 'processor seconds', 'times netcow'], rows))
  const groups = results.map(({ image, tools }) => ({
    title: image,
    bars: tools.map(({ tool, wall }) => ({
      name: tool,
      value: wall,
      label: `${wall.toFixed(2)} s`,
    })),
  }))
  await writeResults('format', 'Reading a whole image of 1 GiB: less is better', results, groups)
}

const NAMES = ['sparse', 'dense'].flatMap((disk) =>
  Object.keys(KINDS).map((kind) => `${disk}-${kind}`),
)
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: `${ROUNDS}` },
    images: { type: 'string', default: NAMES.join(',') },
  },
})
await bench(Number(values.rounds), chosen(NAMES, values.images))
