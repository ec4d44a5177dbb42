import { UsageError } from '../../errors.ts'
import { detachDevice } from '../detach.ts'
import type { Call, Command } from '../command.ts'
import { deviceIndex } from '../options.ts'
import { requireRoot } from '../rights.ts'
import { attachedDevices } from '../run-files.ts'
import { exitCodeOf, lineOf } from '../terminal.ts'

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
  requireRoot('detach a device')
  let exitCode = 0
  for (const index of indexes) {
    try {
      await detachDevice(index)
      terminal.say('info', `/dev/nbd${index} is detached`)
    } catch (error) {
      // One that is in use, such as that of the root, keeps none of the others.
      terminal.say('error', lineOf(error))
      exitCode ||= exitCodeOf(error)
    }
  }
  return exitCode
}
