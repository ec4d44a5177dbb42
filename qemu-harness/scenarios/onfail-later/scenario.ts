import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the server goes away under a running system, and after 20 s the machine restarts',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.onfail=reboot', 'rd.netcow.timeout=20'],
  async meanwhile({ verdict }, server) {
    await verdict.find(/"multiUserSeconds"/)
    await server.down()
  },
  expects: {
    kind: 'ends',
    end: 'restarted',
    line: /netcow: the source is away for 2\d s: .*; reboot now, as rd.netcow.onfail says/,
  },
}
