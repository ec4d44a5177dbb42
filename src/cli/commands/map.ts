import { ImageInvalid, ImageUnsupported, UsageError } from '../../errors.ts'
import type { Explanation } from '../../format/explanation.ts'
import { type MapEntry, mapImage } from '../../format/map.ts'
import { explain } from '../../format/registry.ts'
import { printable } from '../../image-name.ts'
import { type ImagePlan, openForReading, openSource } from '../../stack.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { asking } from '../passphrase.ts'
import { imagePlan } from '../plan.ts'
import type { Terminal } from '../terminal.ts'

export const map: Command = {
  name: 'map',
  summary: 'say where the bytes of an image are, as qemu-img map does',
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
  await using source = await openForReading(plan, (line) => terminal.say('warn', line))
  await terminal.out(`${'Offset'.padEnd(16)}${'Length'.padEnd(16)}${'Mapped to'.padEnd(16)}Depth\n`)
  for await (const entry of mapImage(source)) {
    if (entry.data) await terminal.out(row(entry))
  }
}

function row({ start, length, offset, compressed, depth }: MapEntry): string {
  const place = compressed ? 'compressed' : offset === undefined ? 'encrypted' : hex(offset)
  return `${hex(start).padEnd(16)}${hex(length).padEnd(16)}${place.padEnd(16)}${depth}\n`
}

async function explainOffset(
  plan: ImagePlan,
  offset: number,
  json: boolean,
  terminal: Terminal,
): Promise<void> {
  await using source = await openSource(plan, (line) => terminal.say('warn', line))
  const { snapshot, format } = plan
  const options = { format, ...(snapshot === undefined ? {} : { snapshot }) }
  const explanation = await explain(source, offset, options).catch((error: unknown) => {
    const ofImage = error instanceof ImageInvalid || error instanceof ImageUnsupported
    throw ofImage ? error.within({ image: printable(plan.image) }) : error
  })
  if (explanation.result.kind === 'outside') {
    throw new UsageError('--offset lies behind the end of the disk', { where: { offset } })
  }
  await terminal.out(json ? `${JSON.stringify(explanation, undefined, 2)}\n` : told(explanation))
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
  return `${[...lines, [`result: ${kind}`, ...where].join(', ')].join('\n')}\n`
}

/** Places in hexadecimal, as in qemu-img map; counts and indexes as they are. */
function shownValue(name: string, value: string | number): string {
  const place = typeof value === 'number' && !/index|bits|subcluster/.test(name)
  return place ? hex(value) : String(value)
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
