import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the server comes up only after the guest has said that it waits for it',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  serve: (server) => server.down(),
  words: (url) => [`root=netcow:${url}`],
  async meanwhile({ console }, server) {
    await console.find(/netcow: .*wait/)
    await server.up()
  },
  expects: { kind: 'boots' },
}
