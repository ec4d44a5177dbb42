import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the server answers every range with the whole file',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  serve: (server) => {
    server.onRequest = () => ({ kind: 'ignore-range' })
  },
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'refuses', line: /netcow: .*range.*http:.*;/ },
}
