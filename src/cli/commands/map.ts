import { ImageInvalid, ImageUnsupported, UsageError } from '../../errors.ts'
import type { BlockSource } from '../../block/source.ts'
import type { Description } from '../../format/description.ts'
import type { Explanation, Step } from '../../format/explanation.ts'
import { mapImage } from '../../format/map.ts'
import { describe, explain } from '../../format/registry.ts'
import { fullName, printable } from '../../image-name.ts'
import type { ImagePlan } from '../../plan.ts'
import { ChainPlans, type Report, openForReading, openSource } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { asking } from '../passphrase.ts'
import { plain } from '../plain.ts'
import { imagePlan } from '../plan.ts'
import type { Terminal } from '../terminal.ts'

export const map: Command = {
  name: 'map',
  summary: 'say where the bytes of an image are, as qemu-img map does',
  details: [
    'Prints the runs of an image that are data, zeroes or nothing, with --json under the keys of qemu-img map. With --offset N it prints every step from byte N of the guest to the byte of the file: the entries of the L1 and L2 table and the kind of cluster.',
  ],
  operands: ['IMAGE'],
  options: ['json', ...IMAGE_OPTIONS.filter((name) => name !== 'sizelimit')],
  run: runMap,
}

async function runMap({ operands: [image = ''], options, terminal, argv }: Call): Promise<number> {
  const plan = { ...asking(await imagePlan(image, options), terminal), offset: 0 }
  const explains = argv.some((word) => word === '--offset' || word.startsWith('--offset='))
  if (explains) await explainOffset(plan, options.offset, options.json, terminal)
  else if (options.json) await mapForMachines(plan, terminal)
  else await mapForPeople(plan, terminal)
  return 0
}

async function mapForMachines(plan: ImagePlan, terminal: Terminal): Promise<void> {
  await using source = await openForReading(plan, (line) => terminal.say('warn', line))
  let before = '['
  for await (const entry of mapImage(source)) {
    await terminal.out(`${before}${JSON.stringify(entry)}`)
    before = ',\n'
  }
  await terminal.out(before === '[' ? '[]\n' : ']\n')
}

/** Only what is data, as qemu-img has it; compressed and encrypted runs have no plain place. */
async function mapForPeople(plan: ImagePlan, terminal: Terminal): Promise<void> {
  const report = (line: string) => terminal.say('warn', line)
  await using source = await openForReading(plan, report)
  const files = await filesOf(plan, report)
  await terminal.out(row('Offset', 'Length', 'Mapped to', 'File'))
  for await (const { start, length, data, offset, compressed, depth } of mapImage(source)) {
    if (!data) continue
    const place = compressed ? 'compressed' : offset === undefined ? 'encrypted' : short(offset)
    await terminal.out(row(short(start), short(length), place, files[depth] ?? ''))
  }
}

function row(...cells: readonly [string, string, string, file: string]): string {
  return `${plain(cells.map((cell) => cell.padEnd(16)).join('')).trimEnd()}\n`
}

/** As qemu-img writes it here. */
function short(value: number): string {
  return value === 0 ? '0' : hex(value)
}

/** The files that have the clusters of an image and of those below it. */
async function filesOf(top: ImagePlan, report: Report): Promise<readonly string[]> {
  const chain = new ChainPlans(top, report)
  const files: string[] = []
  for (let plan: ImagePlan | undefined = top; plan !== undefined;) {
    await using source = await openSource(plan, report)
    const told: Description = await describe(source, plan.format)
    files.push(clustersIn(plan, told))
    const below = told['backing-filename']
    plan =
      below === undefined
        ? undefined
        : await chain.below(plan, below, told['backing-filename-format'])
  }
  return files
}

function clustersIn({ image, dataFile }: ImagePlan, told: Description): string {
  const { 'data-file-raw': isExternal, 'data-file': inside } = told['format-specific']?.data ?? {}
  if (isExternal === undefined) return printable(image)
  if (dataFile !== undefined) return printable(dataFile)
  return typeof inside === 'string' ? fullName(image, inside) : printable(image)
}

async function explainOffset(
  plan: ImagePlan,
  offset: number,
  json: boolean,
  terminal: Terminal,
): Promise<void> {
  const explanation = await explained(plan, offset, terminal)
  if (explanation.result.kind === 'outside') {
    throw new UsageError('--offset lies behind the end of the disk', { where: { offset } })
  }
  await terminal.out(json ? `${JSON.stringify(explanation, undefined, 2)}\n` : told(explanation))
}

/** What one image does not hold is looked for in the image below it, as far as that may be read. */
async function explained(top: ImagePlan, offset: number, terminal: Terminal): Promise<Explanation> {
  const report = (line: string) => terminal.say('warn', line)
  const chain = new ChainPlans(top, report)
  const steps: Step[] = []
  for (let plan = top; ;) {
    await using source = await openSource(plan, report)
    const { inside, insideFormat, ...found } = await explainedIn(source, plan, offset)
    steps.push(...found.steps)
    const { kind } = found.result
    // A shorter image below reads as zeroes behind its end.
    if (kind === 'outside' && plan !== top) return { steps, result: { kind: 'hole' } }
    const below =
      kind === 'hole' && inside !== undefined && top.backing.length > 0
        ? await chain.below(plan, inside, insideFormat)
        : undefined
    if (below === undefined) return { steps, result: found.result }
    steps.push({ what: 'backing file', image: printable(below.image), 'guest-offset': offset })
    plan = below
  }
}

async function explainedIn(source: BlockSource, plan: ImagePlan, offset: number) {
  const { snapshot, format, dataFile } = plan
  const dataFileNamed = dataFile !== undefined
  const options = { format, dataFileNamed, ...(snapshot === undefined ? {} : { snapshot }) }
  try {
    const description = await describe(source, format)
    return {
      ...(await explain(source, offset, options)),
      inside: description['backing-filename'],
      insideFormat: description['backing-filename-format'],
    }
  } catch (error) {
    const ofImage = error instanceof ImageInvalid || error instanceof ImageUnsupported
    throw ofImage ? error.within({ image: printable(plan.image) }) : error
  }
}

function told({ steps, result }: Explanation): string {
  const lines = steps.map(({ what, ...numbers }) => {
    const said = Object.entries(numbers).map(
      ([name, value]) => `${name} ${shownValue(name, value)}`,
    )
    return `${what}: ${said.join(', ')}`
  })
  const { kind, ...place } = result
  const where = Object.entries(place).map(([name, value]) => `${name} ${shownValue(name, value)}`)
  return `${[...lines, [`result: ${kind}`, ...where].join(', ')].map(plain).join('\n')}\n`
}

/** Places in hexadecimal, as in qemu-img map; counts and indexes as they are. */
function shownValue(name: string, value: string | number): string {
  const place = typeof value === 'number' && !/index|bits|subcluster/.test(name)
  return place ? hex(value) : String(value)
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
