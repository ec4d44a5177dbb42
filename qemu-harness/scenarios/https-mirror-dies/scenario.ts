import { Authority } from '../../../test/fixtures/authority.ts'
import { RangeServer } from '../../../test/fixtures/range-server.ts'
import { HOST } from '../../qemu.ts'
import { IMAGE_PATH, type Scenario } from '../../scenario.ts'

const NAME = 'images.netcow.test'
/** Somewhere between the mount and multi-user. */
const REQUESTS_BEFORE = 40
/** The mirror is further away, so that it is not preferred while the server lives. */
const FURTHER_MS = 100

let secure: RangeServer
let authority: string

export const scenario: Scenario = {
  description:
    'a name and HTTPS with a private authority; then that server dies and a mirror is used',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: true,
  serve: async (server) => {
    await using ca = await Authority.open()
    authority = ca.cert
    secure = await RangeServer.open({}, await ca.issue(`DNS:${NAME}`))
    // The mirror is the harness's own server, of which the image's traffic is counted.
    server.onRequest = () => ({ kind: 'delay', delayMs: FURTHER_MS })
    secure.put(IMAGE_PATH, server.content(IMAGE_PATH))
    secure.onRequest = ({ number }) => {
      if (number === REQUESTS_BEFORE) void secure.down()
      return undefined
    }
    return secure
  },
  files: () => ({ 'etc/hosts': `${HOST} ${NAME}\n`, 'etc/netcow-ca.pem': authority }),
  words: (mirror) => [
    `root=netcow:${secure.url(IMAGE_PATH, NAME)}`,
    `rd.netcow.mirror=${mirror}`,
    'rd.netcow.ca=/etc/netcow-ca.pem',
  ],
  async meanwhile({ console }) {
    await console.find(/netcow: mirror https:.* is left for a while/)
  },
  expects: { kind: 'boots' },
}
