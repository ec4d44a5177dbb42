import type { Scenario } from '../../scenario.ts'

/** Root has no password in a generic initramfs, and sulogin lets nobody in without one. */
const FORCE = 'systemd.setenv=SYSTEMD_SULOGIN_FORCE=1'

export const scenario: Scenario = {
  description: 'rd.break= gives a shell beside the attached root, and leaving it goes on',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rd.break=pre-mount', 'rd.shell=1', FORCE],
  async meanwhile(machine) {
    await machine.console.find(/Press Enter for maintenance/)
    machine.type('')
    await machine.console.find(/\S# $/)
    machine.type('netcow list; echo left with $?; exit')
  },
  says: [/\/dev\/nbd0 .*image\.qcow2/, /left with 0/],
  expects: { kind: 'boots' },
}
