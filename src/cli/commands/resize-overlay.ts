import { mostDirtyBytes } from '../../block/quota.ts'
import { UsageError } from '../../errors.ts'
import { limitDirtyPagesOf } from '../../kernel/dirty-pages.ts'
import type { Call, Command } from '../command.ts'
import { ask } from '../control.ts'
import { deviceIndex } from '../options.ts'
import { requireRoot } from '../rights.ts'
import { parseSize } from '../size.ts'

export const resizeOverlay: Command = {
  name: 'resize-overlay',
  summary: 'give the overlay of a device another limit',
  details: [
    'Works while the device is in use. Writes that wait for room go on when there is some. A limit below what is used stops new writes only.',
  ],
  operands: ['/dev/nbdN', 'SIZE'],
  options: [],
  run: runResizeOverlay,
}

async function runResizeOverlay({ operands: [device = '', size = ''] }: Call): Promise<number> {
  const limitBytes = parseSize(size)
  if (limitBytes === undefined) throw new UsageError(`'${size}' is not a size such as 64M or 1G`)
  const index = deviceIndex(device)
  requireRoot('ask the daemon of a device')
  await ask(index, { kind: 'resize-overlay', limitBytes })
  const answer = await ask(index, { kind: 'status' })
  if (answer.kind === 'status' && answer.status.overlay?.kind === 'memory') {
    await limitDirtyPagesOf(index, mostDirtyBytes(limitBytes))
  }
  return 0
}
