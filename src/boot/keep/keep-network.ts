import { readFileSync } from 'node:fs'
import { makeAddressesLast } from '../../kernel/addresses.ts'
import { type BootInterface, interfaceTo } from './boot-interface.ts'
import { keepByIfupdown } from './ifupdown.ts'
import { keepByNetworkManager, runsNetworkManager } from './network-manager.ts'
import { keepByNetworkd, runsNetworkd } from './networkd.ts'
import type { System } from './system.ts'

/**
 * Sees to it that whatever runs the network of `system` leaves the interface to `hosts`
 * up, at its start and at its end, and that the lease is renewed or at least not given up.
 * Returns the interface, or undefined if there is none.
 *
 * @param ipWords values of `ip=` on the kernel command line
 * @param say takes a line about what the system will not do
 */
export async function keepNetwork(
  system: System,
  hosts: readonly string[],
  ipWords: readonly string[],
  say: (line: string) => void,
): Promise<BootInterface | undefined> {
  const boot = await interfaceToOne(hosts, ipWords)
  if (boot === undefined) return undefined
  keepByNetworkd(system, boot)
  keepByNetworkManager(system, boot)
  keepByIfupdown(system, boot)
  if (!runsNetworkd(system) && !runsNetworkManager(system, boot)) keepForEver(boot, say)
  return boot
}

/** What nobody has, so that the way to it is that to everywhere (RFC 5737, RFC 3849). */
const ANYWHERE = ['192.0.2.1', '2001:db8::1']

/** The interface to the first host that there is a way to; their names may not be known just now. */
async function interfaceToOne(
  hosts: readonly string[],
  ipWords: readonly string[],
): Promise<BootInterface | undefined> {
  for (const host of [...hosts, ...ANYWHERE]) {
    const boot = await interfaceTo(host, ipWords)
    if (boot !== undefined) return boot
  }
  return undefined
}

/**
 * Where nobody renews a lease the kernel would take the address away when it ends: whoever got it in
 * the initramfs gave it that long (dracut's dhclient does, ipconfig does not). We keep it, as the
 * kernel's own ip=dhcp does.
 */
function keepForEver({ name }: BootInterface, say: (line: string) => void): void {
  const index = Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'))
  for (const seconds of makeAddressesLast(index)) {
    say(`nothing renews the lease of ${name} (${seconds} s): its address is kept for ever`)
  }
}
