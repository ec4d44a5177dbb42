import { ImageInvalid, ImageUnsupported } from '../../errors.ts'
import type { CheckReport } from '../../format/check-report.ts'
import { check as checkImage } from '../../format/registry.ts'
import { printable } from '../../image-name.ts'
import { openSource } from '../../stack.ts'
import { type Call, type Command, WHOLE_FILE_OPTIONS } from '../command.ts'
import { imagePlan } from '../plan.ts'

/** As qemu-img check has them: 0 sound, 2 corrupt, 3 leaks; ours for a corrupt image is 4. */
const CORRUPT = 4

export const check: Command = {
  name: 'check',
  summary: 'verify what a reader can verify of an image, as qemu-img check does',
  details: [
    'Looks for entries that are misaligned, out of range or overlap; with --refcounts also compares every reference count. Nothing is repaired.',
  ],
  operands: ['IMAGE'],
  options: ['json', 'refcounts', ...WHOLE_FILE_OPTIONS.filter((name) => name !== 'backing')],
  run: runCheck,
}

async function runCheck({ operands: [image = ''], options, terminal }: Call): Promise<number> {
  const plan = await imagePlan(image, options)
  const filename = printable(plan.image)
  await using source = await openSource(plan, (line) => terminal.say('warn', line))
  const { format } = plan
  const report = await checkImage(source, { format, refcounts: options.refcounts }).catch(
    (error: unknown) => {
      const ofImage = error instanceof ImageInvalid || error instanceof ImageUnsupported
      throw ofImage ? error.within({ image: filename }) : error
    },
  )
  if (report === undefined) {
    throw new ImageUnsupported(`${format} images have nothing to check`, {
      where: { image: filename },
    })
  }
  const told = { filename, format, ...report }
  await terminal.out(options.json ? `${JSON.stringify(told, undefined, 4)}\n` : forPeople(report))
  return report.corruptions > 0 || report['check-errors'] > 0 ? CORRUPT : 0
}

function forPeople(report: CheckReport): string {
  const problems = report.problems.map(({ kind, what, where }) => {
    const places = Object.entries(where).map(([name, value]) => `${name} 0x${value.toString(16)}`)
    return `${kind === 'corruption' ? 'ERROR' : 'Leaked'}: ${what} (${places.join(', ')})`
  })
  const { corruptions, leaks } = report
  const total = report['total-clusters']
  const allocated = report['allocated-clusters']
  const share = (part: number, whole: number) =>
    `${(whole === 0 ? 0 : (part / whole) * 100).toFixed(2)}%`
  return [
    ...problems,
    corruptions + leaks === 0
      ? 'No errors were found on the image.'
      : `${corruptions} errors and ${leaks} leaked clusters were found on the image.`,
    `${allocated}/${total} = ${share(allocated, total)} allocated, ` +
      `${share(report['fragmented-clusters'], allocated)} fragmented, ` +
      `${share(report['compressed-clusters'], allocated)} compressed clusters`,
    `Image end offset: ${report['image-end-offset']}`,
    '',
  ].join('\n')
}
