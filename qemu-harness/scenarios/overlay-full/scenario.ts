import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../command.ts'
import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description:
    'ext4, xfs and btrfs fill an overlay in memory, wait, are freed and go on; resized live',
  suite: 'trixie',
  tested: false,
  tools: ['xfs', 'btrfs'],
  memoryMiB: 896,
  deadlineMs: 1_200_000,
  // btrfs frees what was deleted with its next transaction, up to half a minute later.
  complaints: [/Possible stuck request/],
  async serve(server) {
    const blank = join(await mkdtemp(join(tmpdir(), 'netcow-blank-')), 'blank.qcow2')
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', blank, '1G'])
    server.put('/blank.qcow2', { file: blank })
  },
}
