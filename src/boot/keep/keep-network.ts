import { readFileSync } from 'node:fs'
import { makeAddressesLast } from '../../kernel/addresses.ts'
import { type BootInterface, interfaceTo } from './boot-interface.ts'
import { keepByIfupdown } from './ifupdown.ts'
import { keepByNetworkManager, runsNetworkManager } from './network-manager.ts'
import { keepByNetworkd, runsNetworkd } from './networkd.ts'
import type { System } from './system.ts'

/**
 * Sees to it that whatever runs the network of `system` leaves the interface to `host`
 * up, at its start and at its end, and that the lease is renewed or at least not given up.
 * Returns the interface, or undefined if there is none.
 *
 * @param ipWords values of `ip=` on the kernel command line
 * @param say takes a line about what the system will not do
 */
export async function keepNetwork(
  system: System,
  host: string,
  ipWords: readonly string[],
  say: (line: string) => void,
): Promise<BootInterface | undefined> {
  const boot = await interfaceTo(host, ipWords)
  if (boot === undefined) return undefined
  keepByNetworkd(system, boot)
  keepByNetworkManager(system, boot)
  keepByIfupdown(system, boot)
  if (!runsNetworkd(system) && !runsNetworkManager(system, boot)) keepForEver(boot, say)
  return boot
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
