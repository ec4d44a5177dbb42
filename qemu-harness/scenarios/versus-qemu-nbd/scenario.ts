import { comparedImages } from '../../compared-images.ts'
import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description: 'the same fio reads on block devices of netcow and of qemu-nbd, and their ratios',
  suite: 'trixie',
  tested: false,
  tools: ['fio', 'qemu-nbd'],
  // Both read the files through the page cache, which has to have room for the larger one.
  memoryMiB: 1792,
  disks: comparedImages,
  deadlineMs: 1_200_000,
}
