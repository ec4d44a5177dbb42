import { isNetcowError } from '../../errors.ts'
import { check, describe } from '../../format/registry.ts'
import type { BlockSource } from '../../block/source.ts'
import { printable } from '../../image-name.ts'
import type { ImagePlan } from '../../plan.ts'
import { type Report, type Served, openForReading, openObserved } from '../../stack.ts'
import { formatSize } from '../size.ts'
import { type Finding, bad, good, warning } from './finding.ts'

/** As much as tells the speed of a line, and no more than a boot would fetch anyway. */
const MOST_BYTES = 8 * 2 ** 20
const READ_BYTES = 2 ** 20
/** Below this a boot of a small system takes minutes. */
const SLOW_BYTES_PER_SECOND = 2 ** 20
/** Less than this says nothing about a line. */
const LEAST_BYTES = 2 ** 17
/** Of an image that is. */
const INVALID = 4

/** Looks at the file, at how fast it comes, and whether what is in it can be used. */
export async function checkImage(plan: ImagePlan, report: Report): Promise<Finding[]> {
  const findings: Finding[] = []
  try {
    const { source: opened, states } = await openObserved(plan, report)
    await using source = opened
    findings.push(good('source', `${printable(plan.image)}, ${formatSize(source.size)}`))
    findings.push(await speed(source), ...servers(plan, states()))
    const { format, 'virtual-size': size } = await describe(source, plan.format)
    findings.push(good('format', `${format}, a disk of ${formatSize(size)}`))
    findings.push(...(await tables(source, plan.format)))
    // What there is to say about its servers has been said.
    await using _image = await openForReading(plan, () => {})
    findings.push(good('contents', 'everything that the image uses is known'))
  } catch (error) {
    if (!isNetcowError(error)) throw error
    findings.push(
      bad('image', error.lineWithoutAdvice, error.advice ?? 'mend that first', error.exitCode),
    )
  }
  return findings
}

/** Whether all that the image refers to is there: of a file that came only in part it is not. */
async function tables(source: BlockSource, format: ImagePlan['format']): Promise<Finding[]> {
  const report = await check(source, { format, refcounts: false })
  if (report === undefined) return []
  const [first] = report.problems
  if (first === undefined) return [good('tables', 'all that they refer to is in the file')]
  const found = `${report.corruptions} errors, the first: ${first.what}`
  const advice = 'see netcow check; the file may have come only in part: compare its length'
  return [bad('tables', found, advice, INVALID)]
}

/** From the middle of the file, which nobody has asked for yet. */
async function speed(source: BlockSource): Promise<Finding> {
  const bytes = Math.min(MOST_BYTES, source.size)
  const start = Math.floor((source.size - bytes) / 2)
  const began = performance.now()
  for (let done = 0; done < bytes; done += READ_BYTES) {
    const target = new Uint8Array(Math.min(READ_BYTES, bytes - done))
    await source.read(target, start + done)
  }
  const perSecond = bytes / Math.max((performance.now() - began) / 1000, 1e-6)
  const found = `${formatSize(perSecond)}/s over ${formatSize(bytes)}`
  if (bytes < LEAST_BYTES || perSecond >= SLOW_BYTES_PER_SECOND) return good('speed', found)
  return warning('speed', found, 'expect a boot to take minutes')
}

function servers({ image }: ImagePlan, states: ReturnType<Served['states']>): Finding[] {
  if (states.length === 0 && image.kind === 'url') {
    const advice = 'use a server with ranges, such as nginx or Apache'
    return [warning('server', 'it serves no ranges: the whole file is kept in memory', advice)]
  }
  return states.flatMap((state) => state.servers.map(server))
}

type Server = ReturnType<Served['states']>[number]['servers'][number]

/** Whether it has the file, and how well it says which version that is. */
function server({ url, state, identity, failure, firstByteMs }: Server): Finding {
  if (state !== 'good') {
    return warning('server', `${url} is not read from: ${failure ?? state}`, 'mend it or leave it')
  }
  const latency = firstByteMs === undefined ? '' : `first byte after ${firstByteMs.toFixed(1)} ms; `
  const found = `${url}: ${latency}the version is known by ${identity ?? 'nothing'}`
  // A strong ETag is the only one in quotes.
  if (identity?.startsWith('"') === true) return good('server', found)
  return warning('server', found, 'let it send a strong ETag: times and lengths may be the same')
}
