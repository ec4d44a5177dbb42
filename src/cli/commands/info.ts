import { stat } from 'node:fs/promises'
import { ImageInvalid, ImageUnsupported, UsageError } from '../../errors.ts'
import type { Described, Description, SnapshotDescription } from '../../format/description.ts'
import { describe } from '../../format/registry.ts'
import { type ImageName, fullName, printable } from '../../image-name.ts'
import type { ImagePlan } from '../../plan.ts'
import { ChainPlans, type Report, openSource } from '../../stack.ts'
import { type Call, type Command, WHOLE_FILE_OPTIONS } from '../command.ts'
import { plain } from '../plain.ts'
import { imagePlan } from '../plan.ts'
import { formatSize } from '../size.ts'

/** What qemu-img info prints, plus what only netcow tells. */
type Info = Description & {
  readonly filename: string
  readonly 'actual-size': number
  readonly 'full-backing-filename'?: string
}

export const info: Command = {
  name: 'info',
  summary: 'describe an image, as qemu-img info does',
  details: [
    'Prints what qemu-img info prints, in the same words, and with --json under the same keys. What is below the image is described with --backing-chain, as far as --backing lets it be opened.',
  ],
  operands: ['IMAGE'],
  options: ['json', 'backing-chain', ...WHOLE_FILE_OPTIONS],
  run: runInfo,
}

async function runInfo({ operands: [image = ''], options, terminal }: Call): Promise<number> {
  const report = (line: string) => terminal.say('warn', line)
  const plan = await imagePlan(image, options)
  const told = await infoOf(plan, report)
  const all = options['backing-chain'] ? [told, ...(await below(plan, told, report))] : [told]
  const shown = options['backing-chain'] ? all : told
  const json = `${JSON.stringify(shown, undefined, 4)}\n`
  await terminal.out(options.json ? json : all.map(forPeople).join('\n'))
  return 0
}

/** What lies below an image, as far as --backing allows to look. */
async function below(top: ImagePlan, told: Info, report: Report): Promise<Info[]> {
  const chain = new ChainPlans(top, report)
  const list: Info[] = []
  for (let plan: ImagePlan | undefined = top, last = told; ;) {
    const inside: string | undefined = last['backing-filename']
    if (inside === undefined) return list
    plan = await chain.below(plan, inside, last['backing-filename-format'])
    if (plan === undefined)
      throw new UsageError(`what lies below is another file, ${JSON.stringify(inside)}`, {
        where: { image: last.filename },
        advice: 'allow it with --backing',
      })
    last = await infoOf(plan, report)
    list.push(last)
  }
}

async function infoOf(plan: ImagePlan, report: Report): Promise<Info> {
  await using source = await openSource(plan, report)
  const filename = printable(plan.image)
  const description = await describe(source, plan.format).catch((error: unknown) => {
    const ofImage = error instanceof ImageInvalid || error instanceof ImageUnsupported
    throw ofImage ? error.within({ image: filename }) : error
  })
  const actual = await allocatedBytes(plan.image, source.size)
  const inside = description['backing-filename']
  return {
    filename,
    'actual-size': actual,
    ...description,
    ...(inside !== undefined && { 'full-backing-filename': fullName(plan.image, inside) }),
  }
}

/** A local file may have holes; of a file on a server only the length is known. */
async function allocatedBytes(image: ImageName, size: number): Promise<number> {
  return image.kind === 'file' ? (await stat(image.path)).blocks * 512 : size
}

function forPeople(told: Info): string {
  const specific = told['format-specific']
  const lines = [
    `image: ${told.filename}`,
    `file format: ${told.format}`,
    `virtual size: ${formatSize(told['virtual-size'])} (${told['virtual-size']} bytes)`,
    `disk size: ${formatSize(told['actual-size'])}`,
    ...(told.encrypted === true ? ['encrypted: yes'] : []),
    ...optional('cluster_size', told['cluster-size']),
    ...optional('backing file', backingFile(told)),
    ...optional('backing file format', told['backing-filename-format']),
    ...snapshotTable(told.snapshots ?? []),
    ...(specific === undefined ? [] : ['Format specific information:', ...indented(specific.data)]),
    ...headerLines(told),
  ]
  return `${lines.map(plain).join('\n')}\n`
}

function backingFile({ 'backing-filename': inside, 'full-backing-filename': full }: Info) {
  return inside === full ? inside : `${inside} (actual path: ${full})`
}

function optional(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`${name}: ${value}`]
}

function headerLines({ header }: Info): string[] {
  if (header === undefined) return []
  const bits = Object.entries(header.features).flatMap(([kind, names]) =>
    names.length === 0 ? [] : [`    ${kind} features: ${names.join(', ')}`],
  )
  const extensions = header.extensions.map(({ name, length }) => `    ${name}: ${length} bytes`)
  return [
    ...(bits.length > 0 ? ['Feature bits:', ...bits] : []),
    ...(extensions.length > 0 ? ['Header extensions:', ...extensions] : []),
  ]
}

/** Nested values as qemu-img writes them: one a line, deeper ones further in, lists by number. */
function indented(value: Described, margin = '    '): string[] {
  if (typeof value !== 'object') return []
  const named = Array.isArray(value)
    ? value.map((inner: Described, index) => [`[${index}]`, inner] as const)
    : Object.entries(value)
  return named.flatMap(([key, inner]) => {
    const name = `${margin}${key.replaceAll('-', ' ')}:`
    if (typeof inner !== 'object') return [`${name} ${inner}`]
    return [name, ...indented(inner, `${margin}    `)]
  })
}

const SNAPSHOT_COLUMNS = [8, 20, 10, 21, 14] as const

function snapshotTable(snapshots: readonly SnapshotDescription[]): string[] {
  if (snapshots.length === 0) return []
  const rows = snapshots.map((snapshot) => [
    snapshot.id,
    snapshot.name,
    formatSize(snapshot['vm-state-size']),
    new Date(snapshot['date-sec'] * 1000).toISOString().slice(0, 19).replace('T', ' '),
    formatSize(snapshot['disk-size']),
  ])
  return [
    'Snapshot list:',
    ...[['ID', 'TAG', 'VM SIZE', 'DATE (UTC)', 'DISK SIZE'], ...rows].map((row) =>
      row
        .map((cell, column) => cell.padEnd(SNAPSHOT_COLUMNS[column]!))
        .join('')
        .trimEnd(),
    ),
  ]
}
