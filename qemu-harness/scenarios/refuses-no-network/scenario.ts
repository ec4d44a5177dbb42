import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description:
    'the network cable is not plugged in; dracut gives up when rd.retry says so, as rd.emergency says',
  image: { suite: 'trixie', layout: 'gpt', compression: 'zstd' },
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`, 'rd.retry=20'],
  meanwhile: (machine) => machine.connect(false),
  // dracut itself does what rd.emergency= says, without its emergency shell.
  expects: { kind: 'ends', end: 'powered off', line: /netcow: no network card has an address yet/ },
}
