import { UsageError } from '../../errors.ts'
import { detachDevice } from '../detach.ts'
import type { Call, Command } from '../command.ts'
import { parseDevice } from '../options.ts'
import { attachedDevices } from '../status-file.ts'

export const detach: Command = {
  name: 'detach',
  summary: 'take a device apart that nobody uses any more',
  operands: ['[/dev/nbdN]'],
  options: ['all'],
  run: runDetach,
}

async function runDetach({ operands: [device], options, terminal }: Call): Promise<number> {
  if ((device === undefined) !== options.all) {
    throw new UsageError('detach needs a device or --all, and not both')
  }
  const indexes = device === undefined ? attachedDevices() : [parseDevice(device)]
  for (const index of indexes) {
    if (index === undefined) {
      throw new UsageError(`'${device}' is not an nbd device`, {
        advice: 'write it like /dev/nbd0',
      })
    }
    detachDevice(index)
    terminal.say('info', `/dev/nbd${index} is detached`)
  }
  return 0
}
