/** What a guest reports of itself, and what its kernel says of each request (block_rq_issue). */
const MULTI_USER = /"measure":"multiUserSeconds","value":([\d.]+)/
const REQUEST = /^request ([\d.]+) 43,0 R[A-Z]* (\d+) (\d+)$/
const SECTOR_BYTES = 512

const HEADER = `# What a boot of Debian 12 reads of its root disk from the first look at it until multi-user: byte
# offset and length of each request that the kernel sent to /dev/nbd0, in their order.
# Recorded by \`npm run boots -- trace\` on the harness's image bookworm-filesystem-zlib. The same
# recipe may lay out another day's Debian differently; the offsets then hit other files, in the same
# pattern. bench:http says how many bytes of clusters they touch.
`

/** The reads of /dev/nbd0 until the guest was up, as text for traces/, from its second serial port. */
export function bootTrace(lines: readonly string[]): string {
  const upSeconds = Number(MULTI_USER.exec(lines.join('\n'))?.[1])
  const reads = lines.flatMap((line) => {
    const [, seconds, sector, sectors] = REQUEST.exec(line) ?? []
    if (sector === undefined || Number(seconds) > upSeconds) return []
    return [`${Number(sector) * SECTOR_BYTES} ${Number(sectors) * SECTOR_BYTES}\n`]
  })
  return HEADER + reads.join('')
}

export interface Read {
  readonly offset: number
  readonly length: number
}

export function parseTrace(text: string): Read[] {
  return text
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => {
      const [offset = NaN, length = NaN] = line.split(' ').map(Number)
      return { offset, length }
    })
}
