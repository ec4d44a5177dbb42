import type { Scenario } from '../../scenario.ts'

/** sulogin lets nobody in where root has no password, as in a generic initramfs, unless it is empty. */
const OPEN = 'root::20000:0:99999:7:::\n'

export const scenario: Scenario = {
  description: 'rd.break= gives a shell beside the attached root, and leaving it goes on',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: false,
  // Left shells do what rd.emergency= says, which is to power off unless it is said otherwise here.
  words: (url) => [`root=netcow:${url}`, 'rd.break=pre-mount', 'rd.shell=1', 'rd.emergency=none'],
  files: () => ({ 'etc/shadow': OPEN }),
  async meanwhile(machine) {
    await machine.console.find(/Press Enter for .*maintenance/)
    machine.type('')
    await machine.console.find(/\S# $/)
    machine.type('netcow list; echo left with $?; exit')
  },
  says: [/\/dev\/nbd0 .*image\.qcow2/, /left with 0/],
  expects: { kind: 'boots' },
}
