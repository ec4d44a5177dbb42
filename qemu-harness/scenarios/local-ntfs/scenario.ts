import { DISK_LABEL, FILE_PATH } from '../../local-disk.ts'
import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'the image is a file on a local ntfs, which Debian 12 has no driver for, and there is no network',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: false,
  localDisk: 'ntfs',
  deadlineMs: 600_000,
  words: () => [`rd.netcow=LABEL=${DISK_LABEL}:${FILE_PATH}`],
  says: [/netcow: .*is detached/],
  expects: { kind: 'boots' },
}
