import { UsageError } from '../../errors.ts'
import { detachDevice } from '../detach.ts'
import type { Call, Command } from '../command.ts'
import { deviceIndex } from '../options.ts'
import { attachedDevices } from '../run-files.ts'

export const detach: Command = {
  name: 'detach',
  summary: 'take a device apart that nobody uses any more',
  details: ['Refused while the device is mounted, swapped to or part of another device.'],
  operands: ['[/dev/nbdN]'],
  options: ['all'],
  run: runDetach,
}

async function runDetach({ operands: [device], options, terminal }: Call): Promise<number> {
  if ((device === undefined) !== options.all) {
    throw new UsageError('detach needs a device or --all, and not both')
  }
  const indexes = device === undefined ? attachedDevices() : [deviceIndex(device)]
  for (const index of indexes) {
    await detachDevice(index)
    terminal.say('info', `/dev/nbd${index} is detached`)
  }
  return 0
}
