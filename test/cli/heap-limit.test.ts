import { spawnSync } from 'node:child_process'
import { totalmem } from 'node:os'
import t from 'tap'
import { NODE_OPTIONS, build } from '../../build/build.ts'
import { heapOptions } from '../../src/cli/heap-limit.ts'
import { daemonEnvironment } from '../../src/cli/launch.ts'
import { parseOptions } from '../../src/cli/options.ts'

const MEBIBYTE = 2 ** 20
/** Three halves of the young generation are counted, and something for what is not objects. */
const MORE_BYTES = 16 * MEBIBYTE

function limitOf(texts: Parameters<typeof parseOptions>[0]): number {
  const options = parseOptions(texts, String)
  const words = [...NODE_OPTIONS, '-p', 'v8.getHeapStatistics().heap_size_limit']
  const { stdout } = spawnSync(process.execPath, words, {
    env: daemonEnvironment(options),
    encoding: 'utf8',
  })
  return Number(stdout)
}

t.test('the heap of a daemon is bounded by its options', async (t) => {
  const near = (texts: Parameters<typeof parseOptions>[0], bytes: number) => {
    const limit = limitOf(texts)
    t.ok(limit >= bytes && limit <= bytes + MORE_BYTES, `${limit} for ${bytes}`)
  }
  near({}, 128 * MEBIBYTE)
  near({ cache: '1M' }, 96.5 * MEBIBYTE)
  near({ cache: '1G', overlay: 'none' }, 608 * MEBIBYTE)
  near({ cache: '2M', overlay: 'memory:1G' }, 97 * MEBIBYTE + totalmem() / 128)
  near({ cache: '2M', overlay: 'file:/x' }, 353 * MEBIBYTE)
})

t.test('the executable takes such options, and V8 keeps to them', async (t) => {
  const run = (path: string, words: string[], options: string) =>
    spawnSync(path, words, { env: { ...process.env, NODE_OPTIONS: options }, encoding: 'utf8' })
  const executable = await build()
  t.match(run(executable, ['--version'], heapOptions({ cache: 0 })), { status: 0, stderr: '' })
  t.match(run(executable, ['--version'], '--nonsense').stderr, /--nonsense is not allowed/)
  const leak = `
    const kept = []
    while (process.memoryUsage().heapUsed < 2 ** 28) kept.push(Array.from({ length: 1000 }, (_, at) => ({ at })))
    console.log('no limit')`
  const { stdout, stderr } = run(process.execPath, ['-e', leak], heapOptions({ cache: 0 }))
  t.equal(stdout, '')
  t.match(stderr, /heap/)
})
