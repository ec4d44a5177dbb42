import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bootTrace } from '../../boot-trace.ts'
import type { Scenario } from '../../scenario.ts'

/** Beside what is in traces/, which it replaces once someone has looked at it. */
const RECORDED = join(import.meta.dirname, '../../../results/debian12-boot.txt')

export const scenario: Scenario = {
  description: 'records what a boot reads, for npm run bench:http',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'trace_event=block:block_rq_issue', 'trace_buf_size=8M'],
  async meanwhile({ verdict }) {
    await verdict.find(/"check":"scenario"/)
    await writeFile(RECORDED, bootTrace(verdict.all))
  },
  expects: { kind: 'boots' },
}
