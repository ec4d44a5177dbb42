import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'

/**
 * /dev/netcow/root, the fixed name of the root device. udev keeps it where there is one, by a rule
 * in /run, which it still finds after switch_root; without udev the link stays as we make it.
 */

/** The name of the root device, whatever it is. */
export const ROOT_LINK = '/dev/netcow/root'
const RULE_FILE = '/run/udev/rules.d/61-netcow.rules'
const ROLES = '/run/netcow/udev'
/** What udev is to know. */
export const RULE = `SUBSYSTEM=="block", KERNEL=="nbd*", IMPORT{file}="${ROLES}/$kernel"
SUBSYSTEM=="block", KERNEL=="nbd*", ENV{NETCOW_ROLE}=="root", SYMLINK+="netcow/root"
`

/** @param name of the block device, such as `nbd0p2` */
export function linkRoot(name: string): void {
  mkdirSync(ROLES, { recursive: true })
  writeFileSync(`${ROLES}/${name}`, 'NETCOW_ROLE=root\n')
  mkdirSync('/dev/netcow', { recursive: true })
  rmSync(ROOT_LINK, { force: true })
  symlinkSync(`../${name}`, ROOT_LINK)
}

export function rootIsLinked(): boolean {
  return existsSync(ROOT_LINK)
}

/** Before udev starts: it looks for new rules only every few seconds. */
export function installRule(): void {
  mkdirSync('/run/udev/rules.d', { recursive: true })
  writeFileSync(RULE_FILE, RULE)
}
