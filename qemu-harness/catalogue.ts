import { UsageError } from '../src/errors.ts'
import type { Boot } from './boot.ts'
import { debianImage } from './image.ts'
import { loadScenario, scenarioNames } from './scenario.ts'
import type { Workshop } from './workshop.ts'

/** A boot takes half a minute under TCG on an idle machine; a hung one never ends by itself. */
export const DEADLINE_MS = 300_000

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

/** The scenario `name` as a boot, with its image made. */
export async function scenarioBoot(name: string, { cache }: Workshop): Promise<Boot> {
  const { scenario, scripts } = await loadScenario(name)
  const { path, manifest } = await debianImage(cache, scenario.image)
  return {
    ...scenario,
    name,
    suite: scenario.image.suite,
    image: { file: path },
    manifest,
    scripts,
    tolerates: [],
    interactive: false,
    deadlineMs: DEADLINE_MS,
  }
}
