import { constants, accessSync, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Architecture } from '../build/node-binary.ts'
import { run } from './command.ts'
import { NAMESPACE } from './site.ts'

/** Why a machine like this one cannot boot what it is asked for, in words that say what to install. */

/** A network of the harness's own: what it takes beyond what build/setup.sh installs. */
export async function networkObstacle(): Promise<string | undefined> {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return '/dev/net/tun is not there, or not for this user'
  }
  return run([...NAMESPACE, 'true']).then(
    () => undefined,
    () => 'this user may not make network namespaces',
  )
}

/** Other architectures: too much to install for a scenario that is not part of `npm test`. */
export function architectureObstacle(architecture: Architecture | undefined): string | undefined {
  if (architecture !== 'arm64') return undefined
  const missing = [
    ...['qemu-system-aarch64', 'aarch64-linux-gnu-strip'].filter((name) => !onPath(name)),
    ...['/proc/sys/fs/binfmt_misc/qemu-aarch64'].filter((path) => !existsSync(path)),
  ]
  if (missing.length === 0) return undefined
  const packages = 'qemu-system-arm, binutils-aarch64-linux-gnu, qemu-user-static and its binfmt'
  return `arm64 needs ${packages}: there is no ${missing.join(', ')}`
}

function onPath(program: string): boolean {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return directories.some((directory) => existsSync(join(directory, program)))
}
