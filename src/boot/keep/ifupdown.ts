import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BootInterface } from './boot-interface.ts'
import { formatIni } from './ini.ts'
import type { System } from './system.ts'

/**
 * ifupdown keeps a list of what is up, and leaves that alone when it starts. When it stops it takes
 * down what is in the list, unless it is told to spare an interface. Its script for sysvinit spares
 * them all while a network block device is mounted; its unit for systemd has to be told.
 */

export function keepByIfupdown({ run, hasSystemd }: System, { name, lower }: BootInterface): void {
  const names = [name, ...lower]
  const state = join(run, 'network')
  mkdirSync(state, { recursive: true })
  writeFileSync(join(state, 'ifstate'), names.map((each) => `${each}=${each}\n`).join(''))
  // The list is for people; this is what ifup and ifdown look at.
  for (const each of names) writeFileSync(join(state, `ifstate.${each}`), `${each}\n`)
  if (!hasSystemd) return
  const spared = names.map((each) => ` --exclude=${each}`).join('')
  const units = join(run, 'systemd/system')
  const folder = join(units, 'networking.service.d')
  mkdirSync(folder, { recursive: true })
  const commands = [
    'ExecStop=',
    `ExecStop=/sbin/ifdown -a --read-environment --exclude=lo${spared}`,
  ]
  writeFileSync(join(folder, '50-netcow.conf'), formatIni([['Service', commands]]))
  // What udev would start for an interface that is marked as hotplugged.
  for (const each of names) {
    const unit = join(units, `ifup@${each}.service`)
    rmSync(unit, { force: true })
    symlinkSync('/dev/null', unit)
  }
}
