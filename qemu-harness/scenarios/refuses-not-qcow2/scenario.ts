import { IMAGE_PATH, type Scenario } from '../../scenario.ts'

const PAGE = Buffer.from('<!doctype html><title>Please log in</title>\n'.repeat(1000))

export const scenario: Scenario = {
  description: 'the server answers with a page in place of an image',
  image: { suite: 'trixie', layout: 'filesystem', compression: 'zstd' },
  tested: true,
  serve: (server) => void server.put(IMAGE_PATH, PAGE),
  words: (url) => [`root=netcow:${url}`],
  expects: { kind: 'refuses', line: /netcow: .*http:.*;/ },
}
