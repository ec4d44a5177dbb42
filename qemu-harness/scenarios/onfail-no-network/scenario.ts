import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the network cable is not plugged in, and dracut restarts as rd.netcow.onfail says',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`, 'rd.retry=20', 'rd.netcow.onfail=reboot'],
  meanwhile: (machine) => machine.connect(false),
  expects: {
    kind: 'ends',
    end: 'restarted',
    line: /netcow: no network card has an address yet/,
    by: 'initramfs',
  },
}
