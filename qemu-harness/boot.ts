import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from '../build/build.ts'
import { type Architecture, ownArchitecture } from '../build/node-binary.ts'
import { RangeServer } from '../test/fixtures/range-server.ts'
import { translator } from './accelerator.ts'
import { padded } from './archive.ts'
import { checkArchive } from './check-archive.ts'
import { type BootFiles, makeInitramfs } from './initramfs.ts'
import { type InitramfsKind, RECIPES, type System } from './initramfs-kind.ts'
import { breakdown, fault } from './judge.ts'
import { Machine } from './machine.ts'
import { type Micro, microFiles } from './micro.ts'
import { observe } from './observation.ts'
import { PLATFORMS } from './platform.ts'
import { step } from './progress.ts'
import { HOST, type Hardware, type Start } from './qemu.ts'
import { type BootResult, measured } from './result.ts'
import { IMAGE_PATH, type Scenario } from './scenario.ts'
import { Site } from './site.ts'
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
  /** x64 unless said. */
  readonly architecture?: Architecture | undefined
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
  dracut: ['panic=1', 'rd.shell=0', 'rd.emergency=poweroff'],
  // It would take panic= for a wish to reboot without a word.
  'initramfs-tools': [],
  mkinitcpio: ['panic=1'],
}
/** Then it is this word that ends the guest, or the scenario fails. */
const ON_FAIL = /^(?:rd\.)?netcow\.onfail=(?:reboot|poweroff)$/
/** A console that is only read needs no colours, and no line that is written over and over. */
const UNATTENDED = ['TERM=dumb']

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
    if (plan.start === undefined) {
      return await watch(plan, { start: given(plan, files, server), disks }, server, workshop)
    }
    if (!('file' in plan.image)) assert.fail('what starts from a network has its image there')
    const served = { ...files, image: plan.image.file }
    await using site = await Site.open(workshop.cache, plan.start, served, directory)
    return await watch(plan, { start: site.start, disks }, server, workshop, site)
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function filesOf(plan: Boot, workshop: Workshop, directory: string): Promise<BootFiles> {
  if (plan.micro !== undefined) return microFiles(plan.micro, workshop, directory)
  const { suite, initramfs, architecture } = plan
  const netcow = { ...workshop.netcow, executable: await executableFor(architecture, workshop) }
  const files = await makeInitramfs(workshop.cache, suite, initramfs, netcow, architecture)
  return { ...files, initramfs: await withCheck(plan, files.initramfs, directory) }
}

async function executableFor(wanted: Architecture | undefined, { netcow }: Workshop) {
  if (wanted === undefined || wanted === ownArchitecture()) return netcow.executable
  return step(`dist/netcow-${wanted}`, () => build(wanted))
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

/** A start from what QEMU is given. */
function given(plan: Boot, files: BootFiles, { port }: RangeServer): Start {
  const url = 'url' in plan.image ? plan.image.url : `http://${HOST}:${port}${IMAGE_PATH}`
  const { console } = PLATFORMS[plan.architecture ?? 'x64']
  const words = plan.words?.(url) ?? [`root=netcow:${url}`]
  const system = words.some((word) => ON_FAIL.test(word))
    ? []
    : ALWAYS[RECIPES[plan.initramfs].system]
  const always = [`console=${console}`, ...system]
  return {
    kind: 'kernel',
    ...files,
    words: [...always, ...(plan.interactive ? [] : UNATTENDED), ...words],
  }
}

async function watch(
  plan: Boot,
  parts: Pick<Hardware, 'start' | 'disks'>,
  server: RangeServer,
  { accelerator }: Workshop,
  site?: Site,
): Promise<BootResult> {
  await mkdir(LOGS, { recursive: true })
  const log = join(LOGS, `${plan.name}.log`)
  const traffic = () => site?.traffic() ?? server.traffic(IMAGE_PATH)
  const startedMs = performance.now()
  const architecture = plan.architecture ?? 'x64'
  // Of other architectures there is only the translator.
  const accelerated = architecture === 'x64' ? accelerator : translator(architecture)
  const times = plan.expects.kind === 'reboots' ? plan.expects.times : 1
  await using machine = await Machine.start(
    {
      accelerator: accelerated,
      ...parts,
      architecture,
      memoryMiB: plan.memoryMiB,
      restarts: times > 1,
    },
    { log, interactive: plan.interactive, signal: deadline(plan) },
  )
  if (times > 1) void machine.restartOnly(times - 1)
  const incident = plan.meanwhile?.(machine, server).catch(String)
  const [observation, end] = await Promise.all([observe(machine, traffic), machine.ended])
  const endedMs = performance.now()

  const { verdict, bootedAtMs, lastBootedAtMs, lastUnitAtMs } = observation
  const { tolerates, complaints = [], says = [] } = plan
  const evidence = { end, verdict, console: machine.console.all, tolerates, complaints, says }
  const reason = fault(plan.expects, evidence) ?? (await incident)
  const broken = breakdown(evidence)
  const { seconds, ...rest } = measured(observation)
  const total = (endedMs - startedMs) / 1000
  const since = (momentMs: number | undefined) =>
    momentMs === undefined ? undefined : (endedMs - momentMs) / 1000
  const [poweredOff, afterLastUnit] = [since(lastBootedAtMs), since(lastUnitAtMs)]
  return {
    name: plan.name,
    ok: reason === undefined,
    ...(reason !== undefined && { reason }),
    ...(reason !== undefined && broken !== undefined && { breakdown: broken }),
    seconds: {
      ...seconds,
      ...(bootedAtMs !== undefined && { loaded: (bootedAtMs - startedMs) / 1000 }),
      ...(poweredOff !== undefined && { poweredOff }),
      ...(afterLastUnit !== undefined && { afterLastUnit }),
      total,
    },
    ...rest,
    traffic: traffic(),
    ...('file' in plan.image && { imageBytes: (await stat(plan.image.file)).size }),
    emulated: accelerated.name === 'tcg',
    log,
  }
}

function deadline({ deadlineMs }: Boot): AbortSignal {
  return deadlineMs === undefined ? new AbortController().signal : AbortSignal.timeout(deadlineMs)
}
