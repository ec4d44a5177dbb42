import { IMAGE_PATH, type Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'the image is not there, and the machine powers off as rd.netcow.onfail says',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  serve: (server) => server.remove(IMAGE_PATH),
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.onfail=poweroff'],
  expects: { kind: 'ends', end: 'powered off', line: /netcow: poweroff in 10 s/ },
}
