import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'rd.break= gives a shell beside the attached root, and leaving it goes on',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: false,
  words: (url) => [`root=netcow:${url}`, 'rd.break=pre-mount', 'rd.shell=1'],
  async meanwhile(machine) {
    await machine.console.find(/pre-mount:[^#]*# /)
    machine.type('netcow list; echo left with $?; exit')
  },
  says: [/\/dev\/nbd0 .*image\.qcow2/, /left with 0/],
  expects: { kind: 'boots' },
}
