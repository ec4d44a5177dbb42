import { KernelRefused } from '../../errors.ts'
import type { DevicePlan } from '../../plan.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { launchDaemon } from '../launch.ts'
import type { Options } from '../options.ts'
import { devicePlan } from '../plan.ts'

/** Partitions of images are wanted, and the module makes none unless it is told to. */
const MODULE_PARAMETERS = ['max_part=31']
const OVERLAY_BYTES = 2 ** 30

export const attach: Command = {
  name: 'attach',
  summary: 'make a block device of an image; prints the device',
  operands: ['IMAGE'],
  options: ['device', 'overlay', 'read-only', 'sector-size', ...IMAGE_OPTIONS],
  run: runAttach,
}

async function runAttach({ operands, options, argv, terminal }: Call): Promise<number> {
  // Found wrong here, an option is reported before anything is started.
  await attachPlan(operands[0] ?? '', options)
  if (process.getuid?.() !== 0) {
    throw new KernelRefused('only root may attach a device', { advice: 'run it with sudo' })
  }
  const outcome = await launchDaemon(argv, MODULE_PARAMETERS, (line) => terminal.say('warn', line))
  switch (outcome.kind) {
    case 'attached':
      await terminal.out(`/dev/nbd${outcome.index}\n`)
      return 0
    case 'failed':
      terminal.say('error', outcome.line)
      return outcome.exitCode
  }
}

/** A device waits for its source as long as it takes, unless the user set a limit. */
export async function attachPlan(image: string, options: Options): Promise<DevicePlan> {
  const plan = await devicePlan(image, options, {
    whenFull: 'wait',
    defaultOverlayBytes: OVERLAY_BYTES,
  })
  return options.timeout === undefined ? { ...plan, openMs: Infinity } : plan
}
