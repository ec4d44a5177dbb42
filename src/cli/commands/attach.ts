import { resolve } from 'node:path'
import { UsageError } from '../../errors.ts'
import type { ImageName } from '../../image-name.ts'
import { outliveUnit } from '../../kernel/cgroup.ts'
import type { DevicePlan } from '../../plan.ts'
import { type Call, type Command, IMAGE_OPTIONS, parseCall } from '../command.ts'
import { type Launch, launchDaemon } from '../launch.ts'
import type { OptionName, Options } from '../options.ts'
import { devicePlan } from '../plan.ts'
import { requireRoot } from '../rights.ts'
import { type ResumeRecord, readFacts, readResumeRecord, resumeArgv } from '../run-files.ts'
import type { Terminal } from '../terminal.ts'

/** Partitions of images are wanted, and the module makes none unless it is told to. */
const MODULE_PARAMETERS = ['max_part=31']
const OVERLAY_BYTES = 2 ** 30

export const attach: Command = {
  name: 'attach',
  summary: 'make a block device of an image; prints the device',
  details: [
    'Needs root and the nbd driver of the kernel. Prints the device, and leaves a daemon behind that serves it until netcow detach.',
    'Nothing can be written unless --overlay says where writes go. An absent server is waited for as long as --timeout says; once the device is there, for ever.',
  ],
  operands: ['[IMAGE]'],
  options: ['device', 'resume', 'overlay', 'read-only', 'sector-size', ...IMAGE_OPTIONS],
  run: runAttach,
}

/** What a daemon may be told. */
export const DAEMON_OPTIONS: readonly OptionName[] = [...attach.options, 'onfail', 'pause']

async function runAttach(call: Call): Promise<number> {
  const { operands, options, argv, terminal } = call
  const record = options.resume === undefined ? undefined : resumeRecord(options.resume, call)
  // Found wrong here, an option is reported before anything is started.
  if (record === undefined) await attachPlan(operands[0] ?? '', options)
  requireRoot('attach a device')
  const launch =
    record === undefined ? { argv, options, directory: process.cwd() } : resumption(record)
  const outcome = await launchDaemon(launch, MODULE_PARAMETERS, (line) =>
    terminal.say('warn', line),
  )
  switch (outcome.kind) {
    case 'attached':
      outlive(outcome.index, terminal)
      await terminal.out(`/dev/nbd${outcome.index}\n`)
      return 0
    case 'failed':
      terminal.say('error', outcome.line)
      return outcome.exitCode
  }
}

/** A device has a daemon for as long as it is mounted, not for as long as a login or a service lasts. */
function outlive(index: number, terminal: Terminal): void {
  try {
    outliveUnit(readFacts(index).pid)
  } catch (error) {
    // In a container, for one, which is to be no hindrance.
    const why = error instanceof Error ? error.message : String(error)
    terminal.say('warn', `the daemon ends with the service or session that started it (${why})`)
  }
}

function resumption(record: ResumeRecord): Launch {
  const { options } = parseCall({ ...attach, options: DAEMON_OPTIONS }, record.argv)
  return { argv: resumeArgv(record), options, directory: record.directory }
}

function resumeRecord(index: number, { operands: [image] }: Call): ResumeRecord {
  if (image !== undefined) {
    throw new UsageError('--resume takes no image: it goes on with the one of the device')
  }
  requireRoot('take over a device')
  return readResumeRecord(index)
}

/** A device waits for its source as long as it takes, unless the user set a limit. */
export async function attachPlan(image: string, options: Options): Promise<DevicePlan> {
  if (image === '') throw new UsageError('attach needs an IMAGE, or --resume /dev/nbdN')
  const plan = await devicePlan(image, options, {
    whenFull: 'wait',
    defaultOverlayBytes: OVERLAY_BYTES,
  })
  const { openMs } = options.timeout === undefined ? { openMs: Infinity } : plan
  return { ...anchored(plan), openMs }
}

/** With names that mean the same in another directory. */
function anchored(plan: DevicePlan): DevicePlan {
  const { dataFile } = plan
  return {
    ...plan,
    image: absolute(plan.image),
    ...(dataFile === undefined ? {} : { dataFile: absolute(dataFile) }),
    backing: plan.backing.map((permission) =>
      permission.kind === 'image'
        ? { ...permission, image: absolute(permission.image) }
        : permission,
    ),
  }
}

function absolute(name: ImageName): ImageName {
  return name.kind === 'file' ? { ...name, path: resolve(name.path) } : name
}
