import { readFile } from 'node:fs/promises'
import { run } from './command.ts'

/**
 * Where Debian packages come from: NETCOW_MIRROR, else the site that this machine's own apt uses
 * if this is Debian, else undefined, which leaves the choice to mmdebstrap.
 */
export async function mirror(): Promise<string | undefined> {
  const chosen = process.env['NETCOW_MIRROR']
  if (chosen) return chosen
  const release = await readFile('/etc/os-release', 'utf8')
  if (!/^ID=debian$/m.test(release)) return undefined
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1]
  const targets = await run(['apt-get', 'indextargets', '--format', '$(RELEASE) $(SITE)'])
  for (const target of targets.split('\n')) {
    const [suite = '', site = ''] = target.split(' ')
    const main = suite === codename || /^((old)*stable|testing|sid|unstable)$/.test(suite)
    if (main && /^https?:/.test(site)) return site
  }
  return undefined
}
