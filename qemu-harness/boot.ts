import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RangeServer } from '../test/fixtures/range-server.ts'
import { padded } from './archive.ts'
import { checkArchive } from './check-archive.ts'
import { type BootFiles, makeInitramfs } from './initramfs.ts'
import { type InitramfsKind, RECIPES, type System } from './initramfs-kind.ts'
import { fault } from './judge.ts'
import { Machine } from './machine.ts'
import { type Micro, microFiles } from './micro.ts'
import { networkStart } from './netboot.ts'
import { observe } from './observation.ts'
import { HOST, type Hardware, type Start } from './qemu.ts'
import { type BootResult, measured } from './result.ts'
import { IMAGE_PATH, type Scenario } from './scenario.ts'
import type { BuilderSuite } from './tree.ts'
import type { Workshop } from './workshop.ts'

/** One boot, whoever asks for it. */
export interface Boot extends Omit<
  Scenario,
  | 'description'
  | 'image'
  | 'tested'
  | 'suite'
  | 'initramfs'
  | 'memoryMiB'
  | 'deadlineMs'
  | 'disksMiB'
  | 'localDisk'
> {
  readonly name: string
  /** The Debian that brings kernel and initramfs. */
  readonly suite: BuilderSuite
  readonly initramfs: InitramfsKind
  /** A file for the harness's own server, or what lies on another one. */
  readonly image: { readonly file: string } | { readonly url: string }
  readonly manifest: string | undefined
  readonly scripts: readonly string[]
  /** Checks that may fail. */
  readonly tolerates: readonly string[]
  /** The user sits at the console, and the guest stays up after its check. */
  readonly interactive: boolean
  /** Set if the guest is a script on busybox, and not a system of its own. */
  readonly micro?: Micro
  readonly memoryMiB: number
  /** Local disks with something on them, before the empty ones. */
  readonly disks: readonly string[]
  /** Empty local disks. */
  readonly disksMiB: readonly number[]
  /** Undefined if the user decides when it ends. */
  readonly deadlineMs: number | undefined
}

const LOGS = join(import.meta.dirname, '../results/boots')
/** A guest that gives up must end. */
const ALWAYS: Readonly<Record<System, readonly string[]>> = {
  dracut: ['console=ttyS0', 'panic=1', 'rd.shell=0', 'rd.emergency=poweroff'],
  // It would take panic= for a wish to reboot without a word.
  'initramfs-tools': ['console=ttyS0'],
  mkinitcpio: ['console=ttyS0', 'panic=1'],
}
/** A console that is only read needs no colours, and no line that is written over and over. */
const UNATTENDED = ['TERM=dumb']
const PATHS = { kernel: '/boot/kernel', initramfs: '/boot/initramfs' }

/** Boots once and judges what came of it. */
export async function boot(plan: Boot, workshop: Workshop): Promise<BootResult> {
  const directory = await mkdtemp(join(tmpdir(), 'netcow-boot-'))
  try {
    const disks = [...plan.disks, ...(await emptyDisks(plan.disksMiB, directory))]
    await using server = await RangeServer.open()
    if ('file' in plan.image) server.put(IMAGE_PATH, plan.image)
    await using surroundings = new AsyncDisposableStack()
    const others = await plan.serve?.(server)
    if (others) surroundings.use(others)
    const files = await filesOf(plan, workshop, directory)
    const start = await startOf(plan, files, server, directory)
    return await watch(plan, { start, disks }, server, workshop)
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function filesOf(plan: Boot, workshop: Workshop, directory: string): Promise<BootFiles> {
  if (plan.micro !== undefined) return microFiles(plan.micro, workshop, directory)
  const files = await makeInitramfs(workshop.cache, plan.suite, plan.initramfs, workshop.netcow)
  return { ...files, initramfs: await withCheck(plan, files.initramfs, directory) }
}

async function emptyDisks(sizesMiB: readonly number[], directory: string): Promise<string[]> {
  const disks = sizesMiB.map((_, index) => join(directory, `disk${index}`))
  for (const [index, disk] of disks.entries()) {
    await writeFile(disk, '')
    await truncate(disk, sizesMiB[index]! * 2 ** 20)
  }
  return disks
}

/** The initramfs with the guest's own check behind it. */
async function withCheck(plan: Boot, initramfs: string, directory: string): Promise<string> {
  const { interactive, expects } = plan
  const mode = interactive ? 'demo' : expects.kind === 'reboots' ? 'reboot' : 'check'
  const { system } = RECIPES[plan.initramfs]
  const check = await checkArchive({ ...plan, mode, system, files: plan.files?.() ?? {} })
  const path = join(directory, 'initramfs')
  await writeFile(path, Buffer.concat([padded(await readFile(initramfs)), check]))
  return path
}

async function startOf(
  plan: Boot,
  files: BootFiles,
  server: RangeServer,
  directory: string,
): Promise<Start> {
  const { port } = server
  const url = 'url' in plan.image ? plan.image.url : `http://${HOST}:${port}${IMAGE_PATH}`
  const always = ALWAYS[RECIPES[plan.initramfs].system]
  const words = [...always, ...(plan.interactive ? [] : UNATTENDED), ...plan.words(url)]
  if (plan.start !== 'network') return { kind: 'kernel', ...files, words }
  server.put(PATHS.kernel, { file: files.kernel })
  server.put(PATHS.initramfs, { file: files.initramfs })
  return networkStart(directory, { port, ...PATHS, words })
}

async function watch(
  plan: Boot,
  parts: Pick<Hardware, 'start' | 'disks'>,
  server: RangeServer,
  { accelerator }: Workshop,
): Promise<BootResult> {
  await mkdir(LOGS, { recursive: true })
  const log = join(LOGS, `${plan.name}.log`)
  const startedMs = performance.now()
  const times = plan.expects.kind === 'reboots' ? plan.expects.times : 1
  await using machine = await Machine.start(
    { accelerator, ...parts, memoryMiB: plan.memoryMiB, restarts: times > 1 },
    { log, interactive: plan.interactive, signal: deadline(plan) },
  )
  if (times > 1) machine.restartOnly(times - 1)
  const incident = plan.meanwhile?.(machine, server).catch(String)
  const [observation, end] = await Promise.all([observe(machine, server), machine.ended])
  const endedMs = performance.now()

  const { verdict, bootedAtMs, lastUnitAtMs } = observation
  const { tolerates, complaints = [], says = [] } = plan
  const evidence = { end, verdict, console: machine.console.all, tolerates, complaints, says }
  const reason = fault(plan.expects, evidence) ?? (await incident)
  const { seconds, ...rest } = measured(observation)
  const total = (endedMs - startedMs) / 1000
  const since = (momentMs: number | undefined) =>
    momentMs === undefined ? undefined : (endedMs - momentMs) / 1000
  const [poweredOff, afterLastUnit] = [since(bootedAtMs), since(lastUnitAtMs)]
  return {
    name: plan.name,
    ok: reason === undefined,
    ...(reason !== undefined && { reason }),
    seconds: {
      ...seconds,
      ...(poweredOff !== undefined && { poweredOff }),
      ...(afterLastUnit !== undefined && { afterLastUnit }),
      total,
    },
    ...rest,
    traffic: server.traffic(IMAGE_PATH),
    ...('file' in plan.image && { imageBytes: (await stat(plan.image.file)).size }),
    log,
  }
}

function deadline({ deadlineMs }: Boot): AbortSignal {
  return deadlineMs === undefined ? new AbortController().signal : AbortSignal.timeout(deadlineMs)
}
