import t from 'tap'
import { Mirrors } from '../../src/http/mirrors.ts'
import { patterned } from '../fixtures/bytes.ts'
import { PLAIN_HTTP } from '../fixtures/http-options.ts'
import { Link } from '../fixtures/link.ts'
import { RangeServer } from '../fixtures/range-server.ts'

const content = patterned(600_000)
const SLOW = { connectMs: 60_000, firstByteMs: 60_000, stallMs: 60_000 }

t.test('the speed of a link is measured on the way: never nearer than it is', async (t) => {
  await using server = await RangeServer.open({ '/image': content })
  await using link = await Link.open(server.port, { roundTripMs: 30, bitsPerSecond: 80e6 })
  const url = new URL(`http://127.0.0.1:${link.port}/image`)
  const { source } = await Mirrors.open(url, { ...PLAIN_HTTP, timeouts: SLOW }, () => {})
  await using _source = source
  const parts = [0, 100_000, 200_000, 300_000, 400_000]
  await Promise.all(
    parts.map(async (offset) => {
      const target = new Uint8Array(100_000)
      await source.read(target, offset)
      t.equal(Buffer.compare(target, content.subarray(offset, offset + 100_000)), 0)
    }),
  )
  const { speed } = source
  t.ok(speed && speed.roundTripMs >= 30)
  t.ok(speed && speed.bytesPerMs > 0 && Number.isFinite(speed.bytesPerMs))
})
