import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Qemu } from '../fixtures/qemu-img.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import type { Case, Outcome } from './reader.ts'
import { makeSeeds, readingOptions } from './seeds.ts'

/**
 * Damages real images and reads them. Each must end in the bytes that QEMU reads, or in
 * `ImageInvalid` or `ImageUnsupported`, within these limits.
 *
 *     node test/fuzz/qcow2.ts --seconds 60 [--seed 1] [--case 17] [--oracle 4]
 */
/** Of a processor: how long that takes depends on what else the machine has to do. */
const LIMIT_MS = 5000
/** Long after the limit even where ten others want the processor. */
const HANG_MS = 60_000
const LIMIT_BYTES = 256 * 2 ** 20
/** A process keeps some memory of every case; what counts is what one image takes. */
const CASES_PER_READER = 500
/** Where the images that were read wrong are kept. */
const RESULTS = 'results/fuzz'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    /** Only this case of the seed. */
    case: { type: 'string' },
    /** Every how manieth readable image is compared with qemu-img. */
    oracle: { type: 'string', default: '4' },
    /** Tells also where QEMU reads what we refuse. */
    strict: { type: 'boolean', default: false },
  },
})

/** Runs the reader in a process of its own, and another one when that is gone. */
class Reader {
  #child: ChildProcess | undefined
  #cases = 0

  async read(message: Case): Promise<Outcome | 'hang' | 'crash'> {
    if (++this.#cases % CASES_PER_READER === 0) this.stop()
    const child = (this.#child ??= fork(join(import.meta.dirname, 'reader.ts'), {
      serialization: 'advanced',
      // What earlier cases left behind is not to be counted.
      execArgv: ['--expose-gc'],
    }))
    const { promise, resolve } = Promise.withResolvers<Outcome | 'hang' | 'crash'>()
    const timer = setTimeout(() => resolve('hang'), HANG_MS)
    const crashed = () => resolve('crash')
    child.once('message', (outcome: Outcome) => resolve(outcome)).once('exit', crashed)
    child.send(message)
    const outcome = await promise
    clearTimeout(timer)
    child.removeAllListeners()
    if (typeof outcome === 'string' || outcome.peakBytes > LIMIT_BYTES) this.stop()
    return outcome
  }

  stop(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

const MISS = 'QEMU reads other bytes'
const seed = Number(values.seed)
const counts = new Map<string, number>()
const findings: string[] = []
const qemu = await Qemu.open()
const reader = new Reader()
const seeds = await makeSeeds(qemu)
const end = Date.now() + Number(values.seconds) * 1000
const names = [...seeds.keys()].filter((name) => name !== 'file')
const first = Number(values.case ?? 0)

try {
  for (let index = first; Date.now() < end; index++) {
    await attempt(index)
    if (values.case !== undefined) break
  }
} finally {
  reader.stop()
  await qemu[Symbol.asyncDispose]()
}
const summary = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
console.log(`seed ${seed}: ${summary}; ${findings.length} findings`)
process.exitCode = findings.length > 0 ? 1 : 0

async function attempt(index: number): Promise<void> {
  const random = new Random(seed * 1_000_003 + index)
  const name = random.pick(names)
  const image = mutate(seeds.get(name)!, [...seeds.values()], random)
  const snapshot = name === 'snapshot' && random.below(2) === 0
  const message = { image, backing: seeds.get('v2')!, file: seeds.get('file')!, snapshot }
  const outcome = await reader.read(message)
  const asked = !snapshot && index % Number(values.oracle) === 0
  const verdict = await judge(outcome, asked, () => oracle(name, image))
  const kind = typeof outcome === 'string' ? outcome : outcome.end
  counts.set(kind, (counts.get(kind) ?? 0) + 1)
  if (verdict === undefined) return
  findings.push(verdict)
  await mkdir(RESULTS, { recursive: true })
  await writeFile(join(RESULTS, `${seed}-${index}.qcow2`), image)
  console.log(`--seed ${seed} --case ${index} (${name}): ${verdict}`)
}

/** What is wrong with the outcome, if anything is. */
async function judge(
  outcome: Outcome | 'hang' | 'crash',
  asked: boolean,
  ask: () => Promise<string | undefined>,
): Promise<string | undefined> {
  if (typeof outcome === 'string') return outcome
  const { end, message, digest, processorMs, peakBytes } = outcome
  if (processorMs > LIMIT_MS) return `took ${processorMs} ms of a processor`
  if (peakBytes > LIMIT_BYTES) return `took ${peakBytes} bytes of memory (${end} ${message})`
  switch (end) {
    case 'bytes': {
      const theirs = asked && digest !== undefined ? await ask() : undefined
      return theirs === undefined || theirs === digest ? undefined : MISS
    }
    case 'ImageInvalid':
    case 'ImageUnsupported':
      if (values.strict && asked && (await ask()) !== undefined)
        console.log(`  QEMU reads: ${message}`)
      return undefined
    default:
      return `${end}: ${message}`
  }
}

/** The digest of what qemu-img reads; `undefined` if it refuses the image. */
async function oracle(seed: string, image: Uint8Array): Promise<string | undefined> {
  await writeFile(qemu.path('case'), image)
  try {
    await qemu.img('convert', ...readingOptions(seed, 'case'), '-O', 'raw', 'case.disk')
    const disk = await qemu.bytes('case.disk')
    return createHash('sha256').update(disk).digest('hex')
  } catch {
    return undefined
  }
}
