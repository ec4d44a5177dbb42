import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join, matchesGlob } from 'node:path'
import { type BootInterface, routerOf } from './boot-interface.ts'
import { formatIni, parseIni } from './ini.ts'
import type { System } from './system.ts'
import { textOf } from './text.ts'

/**
 * systemd-networkd, alone or below netplan: it takes addresses away that are not its own when it
 * starts, and those of its leases when it stops, unless the file that it uses for an interface says
 * KeepConfiguration (systemd.network(5)), and those of an interface whose cable is pulled out, which
 * it could not give back: its own program is on the disk behind that interface. Which file that will be only networkd knows, so every one
 * that may match gets the word as a drop-in, and one of ours comes after all of them.
 */

const FOLDERS = ['etc', 'usr/local/lib', 'usr/lib'] as const
/** Sorts last; the name that dracut's hook uses for what brought the network up. */
const FALLBACK = 'zzzz-netcow.network'
const DROP_IN = '50-netcow.conf'
const KEEP = formatIni([['Network', ['KeepConfiguration=yes', 'IgnoreCarrierLoss=yes']]])
/** More files than anybody has. */
const MOST_FILES = 1024

export function keepByNetworkd(system: System, boot: BootInterface): void {
  const files = join(system.run, 'systemd/network')
  for (const name of [...networkFiles(system, boot), ...netplanFiles(system), FALLBACK]) {
    const folder = join(files, `${name}.d`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, DROP_IN), KEEP)
  }
  writeFileSync(join(files, FALLBACK), fallback(boot))
}

/** Something renews the lease of the interface there. */
export function runsNetworkd(system: System): boolean {
  const wants = 'etc/systemd/system/multi-user.target.wants/systemd-networkd.service'
  // A link into the root does not resolve from here, but it is there.
  return globSync(join(system.root, wants)).length > 0 || netplanFiles(system).length > 0
}

function networkFiles({ root, run }: System, boot: BootInterface): string[] {
  const folders = [run, ...FOLDERS.map((folder) => join(root, folder))]
  const files = folders.flatMap((folder) => globSync(join(folder, 'systemd/network/*.network')))
  const names = files.slice(0, MOST_FILES).filter((file) => mayMatch(file, boot))
  return [...new Set(names.map((file) => basename(file)))]
}

/** False only if the name or the hardware address says that it is about other interfaces. */
function mayMatch(file: string, { name, mac, lower }: BootInterface): boolean {
  const match = parseIni(textOf(file)).get('Match')
  const names = match?.get('Name')
  if (names !== undefined && ![name, ...lower].some((each) => matchesList(each, names)))
    return false
  const macs = match?.get('MACAddress')
  return macs === undefined || lower.length > 0 || normal(macs).split(/\s+/).includes(mac)
}

/** Patterns of a shell, where a '!' before the first turns the whole list round. */
function matchesList(name: string, list: string): boolean {
  const inverted = list.startsWith('!')
  const patterns = list.slice(inverted ? 1 : 0).split(/\s+/)
  return patterns.some((pattern) => matchesGlob(name, pattern)) !== inverted
}

function normal(macs: string): string {
  return macs.toLowerCase().replaceAll('-', ':')
}

/**
 * netplan writes its files when the system starts, as 10-netplan-ID.network. The IDs are keys of
 * its YAML, and any key may be one: a drop-in for a file that never comes does no harm.
 */
function netplanFiles({ root }: System): string[] {
  const folders = ['etc', 'usr/lib', 'lib', 'run'].map((folder) => join(root, folder, 'netplan'))
  const files = folders.flatMap((folder) => globSync(join(folder, '*.yaml')))
  const keys = files.flatMap((file) =>
    [...textOf(file).matchAll(/([\w.:-]+)["']?\s*:/g)].map(([, key = '']) => key),
  )
  return [...new Set(keys)].slice(0, MOST_FILES).map((key) => `10-netplan-${key}.network`)
}

/** For a networkd that has no file for the interface: then it would never renew the lease. */
function fallback({ mac, name, addresses, isStatic, nameServers }: BootInterface): string {
  const router = routerOf(name)
  const addressing = isStatic
    ? [
        ...addresses.map((address) => `Address=${address}`),
        ...(router === undefined ? [] : [`Gateway=${router}`]),
        ...nameServers.map((server) => `DNS=${server}`),
      ]
    : ['DHCP=yes']
  return formatIni([
    ['Match', [`MACAddress=${mac}`]],
    ['Network', addressing],
  ])
}
