import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { runAsRoot } from '../../qemu-harness/command.ts'
import { openForReading } from '../../src/stack.ts'
import { patterned } from '../fixtures/bytes.ts'
import { PLAIN_HTTP } from '../fixtures/http-options.ts'
import { Nginx, slicing } from '../fixtures/nginx.ts'
import { treeOf } from '../fixtures/oracles.ts'

const MEBIBYTE = 2 ** 20
const MACHINES = 5
const content = patterned(8 * MEBIBYTE + 12_345)
t.setTimeout(900_000)

const tree = await treeOf('trixie')
const skip = 'reason' in tree ? tree.reason : false

t.test(
  'behind a caching nginx the server sends each slice once, to all machines',
  { skip },
  async (t) => {
    if ('reason' in tree) return
    const folder = await mkdtemp(join(tree.path, 'tmp/netcow-'))
    t.teardown(() => runAsRoot(['rm', '-rf', folder]))
    await writeFile(join(folder, 'image.raw'), content)
    const within = (path: string) => path.slice(tree.path.length)
    await using origin = await Nginx.start(
      tree.path,
      join(folder, 'origin'),
      `root ${within(folder)};`,
    )
    const [http, location] = slicing(within(join(folder, 'front')), origin.port)
    await using front = await Nginx.start(tree.path, join(folder, 'front'), location, http)
    const url = new URL(`http://127.0.0.1:${front.port}/image.raw`)

    const machine = async (seed: number) => {
      await using source = await openForReading(
        {
          image: { kind: 'url', url },
          format: 'raw',
          offset: 0,
          http: {
            ...PLAIN_HTTP,
            timeouts: { connectMs: 60_000, firstByteMs: 60_000, stallMs: 60_000 },
          },
          cacheBytes: 4 * MEBIBYTE,
          openMs: 0,
          backing: [],
          allowCorrupt: false,
        },
        () => {},
      )
      for (let step = 0; step < 64; step++) {
        const offset = ((seed + step) * 7919 * 4096) % (content.length - 65_536)
        const target = new Uint8Array(65_536)
        await source.read(target, offset)
        t.equal(Buffer.compare(target, content.subarray(offset, offset + 65_536)), 0)
      }
    }
    await Promise.all(Array.from({ length: MACHINES }, (_, index) => machine(index * 64)))

    const ranges = (await origin.log()).map((line) => line.split(' ')[2])
    t.ok(ranges.length > 4, 'the server was asked')
    t.equal(new Set(ranges).size, ranges.length, 'and for nothing twice')
    t.ok((await front.log()).length > ranges.length, 'the cache was asked more')
  },
)
