import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
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
 */
export async function keepNetwork(
  system: System,
  host: string,
  ipWords: readonly string[],
): Promise<BootInterface | undefined> {
  const boot = await interfaceTo(host, ipWords)
  if (boot === undefined) return undefined
  keepByNetworkd(system, boot)
  keepByNetworkManager(system, boot)
  keepByIfupdown(system, boot)
  if (!runsNetworkd(system) && !runsNetworkManager(system, boot)) await keepForEver(system, boot)
  return boot
}

/**
 * Where nobody renews a lease the kernel would take the address away when it ends. We keep it, as
 * the kernel's own ip=dhcp and ipconfig do.
 */
async function keepForEver({ run }: System, { name, addresses }: BootInterface): Promise<void> {
  // ipconfig, which leaves this file, gives addresses that last.
  if (existsSync(join(run, `net-${name}.conf`))) return
  for (const address of addresses) {
    const lifetimes = ['valid_lft', 'forever', 'preferred_lft', 'forever']
    await promisify(execFile)('ip', ['address', 'change', address, 'dev', name, ...lifetimes])
  }
}
