import { basename } from 'node:path'
import { UsageError } from '../src/errors.ts'
import type { Boot } from './boot.ts'
import { debianImage } from './image.ts'
import { obstacle } from './initramfs.ts'
import { microImage } from './micro.ts'
import { localDisk } from './local-disk.ts'
import { architectureObstacle, networkObstacle } from './obstacles.ts'
import { loadScenario, scenarioNames } from './scenario.ts'
import type { Workshop } from './workshop.ts'

/** A boot takes a minute under TCG on an idle machine, five on a busy one; a hung one never ends by itself. */
export const DEADLINE_MS = 600_000
/** Enough for a small Debian, its daemon and its overlay. */
export const MEMORY_MIB = 1024

/** The names of the scenarios, checked if some were given, in the order to run them. */
export async function chosenScenarios(names: readonly string[]): Promise<readonly string[]> {
  const known = await scenarioNames()
  for (const name of names) {
    if (known.includes(name)) continue
    throw new UsageError(`there is no scenario ${name}`, {
      advice: `known are ${known.join(', ')}`,
    })
  }
  return names.length > 0 ? names : known
}

/** The names of the scenarios that are part of `npm test`. */
export async function testedScenarios(): Promise<readonly string[]> {
  const names = await scenarioNames()
  const tested = await Promise.all(
    names.map(async (name) => (await loadScenario(name)).scenario.tested),
  )
  return names.filter((_, index) => tested[index])
}

/** Why this machine cannot boot the scenario `name`, or undefined if it can. */
export async function obstacleOf(name: string): Promise<string | undefined> {
  const { scenario } = await loadScenario(name)
  if ('kind' in scenario) return undefined
  return (
    obstacle(scenario.initramfs ?? 'dracut') ??
    architectureObstacle(scenario.image.architecture) ??
    (scenario.start && (await networkObstacle()))
  )
}

/** The scenario `name` as a boot, with its image made. */
export async function scenarioBoot(name: string, { cache }: Workshop): Promise<Boot> {
  const { scenario, scripts } = await loadScenario(name)
  const common = {
    name,
    tolerates: [],
    interactive: false,
    memoryMiB: scenario.memoryMiB ?? MEMORY_MIB,
    disks: [],
    disksMiB: scenario.disksMiB ?? [],
    deadlineMs: scenario.deadlineMs ?? DEADLINE_MS,
  }
  if ('kind' in scenario) {
    const { suite, tools = [], serve, meanwhile, complaints } = scenario
    const script = scripts.find((path) => basename(path) === 'init.sh')
    if (script === undefined) throw new UsageError(`the scenario ${name} has no init.sh`)
    return {
      ...common,
      disks: (await scenario.disks?.(cache)) ?? [],
      suite,
      initramfs: 'dracut',
      image: { file: await microImage(cache, suite) },
      manifest: undefined,
      scripts: [],
      micro: { suite, tools, script },
      words: (url) => [`url=${url}`, ...(scenario.words?.(url) ?? [])],
      ...(serve && { serve }),
      ...(meanwhile && { meanwhile }),
      ...(complaints && { complaints }),
      expects: { kind: 'boots' },
    }
  }
  const { path, manifest } = await debianImage(cache, scenario.image)
  const { localDisk: format } = scenario
  return {
    ...scenario,
    ...common,
    disks: format === undefined ? [] : [await localDisk(cache, format, path)],
    suite: scenario.suite ?? scenario.image.suite,
    architecture: scenario.image.architecture,
    initramfs: scenario.initramfs ?? 'dracut',
    image: { file: path },
    manifest,
    scripts,
  }
}
