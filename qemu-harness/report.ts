import { table as markdown } from '../build/bench/table.ts'
import type { BootResult } from './result.ts'

const COLUMNS: readonly {
  readonly title: string
  cell(result: BootResult): string
}[] = [
  { title: 'boot', cell: ({ name }) => name },
  { title: 'verdict', cell: ({ ok }) => (ok ? 'good' : 'BAD') },
  { title: 'loaded', cell: ({ seconds }) => inSeconds(seconds.loaded) },
  { title: 'attach', cell: ({ seconds }) => inSeconds(seconds.attached) },
  { title: 'multi-user', cell: ({ seconds }) => inSeconds(seconds.multiUser) },
  { title: 'power-off', cell: ({ seconds }) => inSeconds(seconds.poweredOff) },
  { title: 'wait', cell: ({ seconds }) => inSeconds(seconds.largestWait) },
  { title: 'last unit', cell: ({ seconds }) => inSeconds(seconds.afterLastUnit) },
  { title: 'all', cell: ({ seconds }) => inSeconds(seconds.total) },
  { title: 'requests', cell: ({ traffic }) => `${traffic.requests}` },
  { title: 'fetched', cell: ({ traffic }) => inMegabytes(traffic.bytes) },
  { title: 'of', cell: ({ imageBytes }) => inMegabytes(imageBytes) },
  { title: 'daemon', cell: ({ daemonBytes }) => inMegabytes(daemonBytes?.own) },
  { title: 'files', cell: ({ daemonBytes }) => inMegabytes(daemonBytes?.file) },
  { title: 'pinned', cell: ({ pinnedBytes }) => inMegabytes(pinnedBytes) },
]

/** The results as a table in Markdown, and under it why boots went wrong. */
export function table(results: readonly BootResult[]): string {
  const rows = results.map((result) => COLUMNS.map((column) => column.cell(result)))
  const titles = COLUMNS.map(({ title }) => title)
  const notes = [comparison, writes, failure].flatMap((note) => results.flatMap(note))
  return [markdown(titles, rows), ...notes].join('\n')
}

/** What came of the writes of a boot that compares them after what it did to the daemon or the overlay. */
export function writes({ name, ok, comparedBytes }: BootResult): string[] {
  if (comparedBytes === undefined || !ok) return []
  return ['', `${name}: ${inMegabytes(comparedBytes)} of writes read back; lost writes: none`]
}

/** What a boot that compares found. */
export function comparison({ name, ratios = {}, emulated = false }: BootResult): string[] {
  const lines = Object.entries(ratios).map(([what, ratio]) => `  ${what}: ${ratio.toFixed(2)} x`)
  const where = emulated ? 'emulated by QEMU (TCG)' : 'on a processor of its own'
  return lines.length === 0 ? [] : ['', `${name}, ${where}; netcow reads:`, ...lines]
}

/** What is worth knowing of a boot that went wrong. */
export function failure({ ok, name, reason, log }: BootResult): string[] {
  return ok ? [] : ['', `${name}: ${reason}`, `  console: ${log}`]
}

/** One boot in sentences. */
export function summary({ seconds, toMultiUser, traffic, imageBytes, daemonBytes }: BootResult) {
  const until = toMultiUser ? `${fetched(toMultiUser)} until multi-user, ` : ''
  const lines = [
    `attached:    ${inSeconds(seconds.attached)} after the kernel started`,
    `multi-user:  ${inSeconds(seconds.multiUser)}`,
    `powered off: ${inSeconds(seconds.poweredOff)}`,
    `fetched:     ${until}${fetched(traffic)} in all, of ${inMegabytes(imageBytes)}`,
  ]
  if (daemonBytes) {
    const { own, file, peak } = daemonBytes
    const parts = `${inMegabytes(own)} of its own, ${inMegabytes(file)} of files`
    lines.push(`daemon:      ${parts}, ${inMegabytes(peak)} resident at most`)
  }
  return lines.join('\n')
}

function fetched({ bytes, requests }: BootResult['traffic']): string {
  return `${inMegabytes(bytes)} in ${requests} requests`
}

function inSeconds(seconds: number | undefined): string {
  return seconds === undefined ? '-' : `${seconds.toFixed(1)} s`
}

function inMegabytes(bytes: number | undefined): string {
  return bytes === undefined ? '-' : `${(bytes / 1e6).toFixed(1)} MB`
}
