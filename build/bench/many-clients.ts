import { parseTrace } from '../../qemu-harness/boot-trace.ts'
import { readFile } from 'node:fs/promises'
import { parseOptions } from '../../src/cli/options.ts'
import { devicePlan } from '../../src/cli/plan.ts'
import { openForUse } from '../../src/stack.ts'

/**
 * COUNT machines in one process, each with connections and a cache of its own, which read what a
 * boot reads, all at the same time: `many-clients.ts URL COUNT TRACE`. Prints the seconds of each.
 */
const [url = '', count = '', trace = ''] = process.argv.slice(2)
/** A third of what a machine usually has: this one holds hundreds. */
const CACHE = '24M'

const reads = parseTrace(await readFile(trace, 'utf8'))
const options = parseOptions({ cache: CACHE }, (name) => `--${name}`)

async function machine(): Promise<number> {
  const begin = performance.now()
  const plan = await devicePlan(url, options, { whenFull: 'fail', defaultOverlayBytes: 0 })
  const { source } = await openForUse(plan, (line) => console.error(line))
  await using _source = source
  for (const { offset, length } of reads) await source.read(new Uint8Array(length), offset)
  return (performance.now() - begin) / 1000
}

console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(count) }, machine))))
