import { Link } from '../../../test/fixtures/link.ts'
import type { Scenario } from '../../scenario.ts'

const KIND = { roundTripMs: 20, bitsPerSecond: 200e6 }
/** Longer than a machine should notice, shorter than what is taken for a failure. */
const STALL_MS = 5000
let link: Link | undefined

export const scenario: Scenario = {
  description: 'a link of 20 ms and 200 Mbit/s, which stalls for 5 s in the middle of the boot',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  async serve(server) {
    link = await Link.open(server.port, KIND)
    return link
  },
  words(url) {
    const through = new URL(url)
    through.port = `${link?.port}`
    return [`root=netcow:${through.href}`]
  },
  async meanwhile({ console }) {
    await console.find(/Welcome to Debian/)
    link?.stall(STALL_MS)
  },
  expects: { kind: 'boots' },
}
