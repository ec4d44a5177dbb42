import { NameServer } from '../../../test/fixtures/name-server.ts'
import { HOST } from '../../qemu.ts'
import { IMAGE_PATH, type Scenario } from '../../scenario.ts'

/** The port that guests ask at; only root has it. */
const DNS_PORT = 53
const [FIRST, SECOND] = ['one.netcow.test', 'two.netcow.test'] as const

let names: NameServer

export const scenario: Scenario = {
  description: 'names, the second of which is known only when the initramfs is gone; root runs it',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  deadlineMs: 900_000,
  serve: async (server) => {
    names = await NameServer.open(DNS_PORT)
    names.names.set(FIRST, HOST)
    let moved = false
    server.onRequest = ({ headers }) => {
      // From then on the first name leads nowhere.
      moved ||= names.names.has(SECOND)
      const first = headers.host?.startsWith(FIRST) ?? false
      return moved && first ? { kind: 'reset' } : undefined
    }
    return names
  },
  words: (url) => [
    `root=netcow:${url.replace(HOST, FIRST)}`,
    `rd.netcow.mirror=${url.replace(HOST, SECOND)}`,
    `ip=10.0.2.15::${HOST}:255.255.255.0:::off:${HOST}`,
  ],
  async meanwhile({ console }, server) {
    await console.find(/Stopped initrd-switch-root.service/)
    const before = server.traffic(IMAGE_PATH).requests
    names.names.set(SECOND, HOST)
    await console.find(/netcow: mirror http:\/\/one.netcow.test.* is left for a while/)
    if (server.traffic(IMAGE_PATH).requests === before) throw new Error('nothing was asked for')
  },
  expects: { kind: 'boots' },
}
