import { randomUUID } from 'node:crypto'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BootInterface, routerOf } from './boot-interface.ts'
import { formatIni, parseIni } from './ini.ts'
import type { System } from './system.ts'
import { textOf } from './text.ts'

/**
 * NetworkManager leaves an interface alone that it finds configured, and then nobody renews the
 * lease. It takes one over as it stands, without a moment of silence, when its state from before
 * names a profile for the interface; so we write that state, and a profile if the system has none.
 * Of a cable that is pulled out it must take no notice: it would take the address away, and need
 * the disk behind it to give it back. What is made of others, as a bond, it is to leave alone.
 */

/** NetworkManager reads no profile that others may read. */
const PRIVATE = 0o600
const FILE = '50-netcow.conf'
const FOR_EVER = 2 ** 31 - 1

export function keepByNetworkManager({ root, run }: System, boot: BootInterface): void {
  const folder = join(run, 'NetworkManager/conf.d')
  mkdirSync(folder, { recursive: true })
  if (boot.lower.length > 0) {
    const names = [boot.name, ...boot.lower].map((name) => `interface-name:${name}`)
    const settings = formatIni([['keyfile', [`unmanaged-devices=${names.join(';')}`]]])
    return writeFileSync(join(folder, FILE), settings)
  }
  const uuid = ownProfile(root, boot) ?? writeProfile(run, boot)
  const devices = join(run, 'NetworkManager/devices')
  mkdirSync(devices, { recursive: true })
  const index = readFileSync(`/sys/class/net/${boot.name}/ifindex`, 'utf8').trim()
  const state = ['managed=true', `connection-uuid=${uuid}`, 'nm-owned=0']
  writeFileSync(join(devices, index), formatIni([['device', state]]))
  // By its name, too: only some cards have what NetworkManager takes for a permanent address.
  const match = `mac:${boot.mac},interface-name:${boot.name}`
  const device = [`match-device=${match}`, 'ignore-carrier=yes', 'keep-configuration=yes']
  const settings = formatIni([
    // Until 1.42 it was only said here.
    ['main', [`ignore-carrier=${match}`]],
    ['device-netcow', device],
  ])
  writeFileSync(join(folder, FILE), settings)
}

/** Something renews the lease of the interface there. */
export function runsNetworkManager({ root }: System, { lower }: BootInterface): boolean {
  if (lower.length > 0) return false
  const wants = 'etc/systemd/system/multi-user.target.wants/NetworkManager.service'
  return globSync(join(root, wants)).length > 0
}

/** The profile that the system has for this interface, by name or hardware address. */
function ownProfile(root: string, { name, mac }: BootInterface): string | undefined {
  const folders = ['etc', 'usr/lib'].map((folder) => join(root, folder))
  const files = folders.flatMap((folder) =>
    globSync(join(folder, 'NetworkManager/system-connections/*')),
  )
  for (const file of files) {
    const sections = parseIni(textOf(file))
    const connection = sections.get('connection')
    const address = sections.get('ethernet')?.get('mac-address')?.toLowerCase()
    const named = connection?.get('interface-name') === name
    if (connection?.get('uuid') !== undefined && (named || address === mac)) {
      return connection.get('uuid')
    }
  }
  return undefined
}

function writeProfile(run: string, boot: BootInterface): string {
  const { name, mac, addresses, isStatic, nameServers } = boot
  const uuid = randomUUID()
  const router = routerOf(name)
  const four = addresses.filter((address) => !address.includes(':'))
  const method = isStatic
    ? [
        'method=manual',
        ...four.map((address, at) => `address${at + 1}=${address}`),
        ...(router === undefined ? [] : [`gateway=${router}`]),
        `dns=${nameServers.filter((server) => !server.includes(':')).join(';')}`,
      ]
    : ['method=auto', `dhcp-timeout=${FOR_EVER}`]
  const folder = join(run, 'NetworkManager/system-connections')
  mkdirSync(folder, { recursive: true })
  const profile = formatIni([
    ['connection', ['id=netcow', `uuid=${uuid}`, 'type=ethernet', 'autoconnect-retries=0']],
    ['ethernet', [`mac-address=${mac}`]],
    ['ipv4', method],
    ['ipv6', ['method=auto', 'may-fail=true']],
  ])
  writeFileSync(join(folder, 'netcow.nmconnection'), profile, { mode: PRIVATE })
  return uuid
}
