import { setTimeout } from 'node:timers/promises'
import type { Scenario } from '../../scenario.ts'

/** Somewhere between the mount and multi-user. */
const REQUESTS_BEFORE = 60

const gone = Promise.withResolvers<void>()

export const scenario: Scenario = {
  description: 'the server is down for a minute in the middle of the boot',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  deadlineMs: 900_000,
  serve: (server) => {
    server.onRequest = ({ number }) => {
      if (number === REQUESTS_BEFORE) server.down().then(gone.resolve, gone.reject)
      return undefined
    }
  },
  words: (url) => [`root=netcow:${url}`],
  async meanwhile({ console }, server) {
    await gone.promise
    await console.find(/netcow: waiting for the source/)
    // The kernel takes the sockets of a device for dead after 30 s, unless it is told otherwise.
    await setTimeout(60_000)
    await server.up()
    await console.find(/netcow: the source answers again after \d\d s/)
  },
  // Every 30 s, of each request that waits.
  complaints: [/Possible stuck request/],
  expects: { kind: 'boots' },
}
