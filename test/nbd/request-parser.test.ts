import fc from 'fast-check'
import t from 'tap'
import { CommandFlag } from '../../src/nbd/protocol.ts'
import { RequestParser } from '../../src/nbd/request-parser.ts'
import { type Request, payloadBytes } from '../../src/nbd/request.ts'
import { patterned } from '../fixtures/bytes.ts'
import { requestBytes } from '../fixtures/nbd-client.ts'

interface Parsed {
  readonly flags: number
  readonly type: number
  readonly cookie: bigint
  readonly offset: number
  readonly length: number
  readonly payload: Buffer
}

/** Everything that a connection says which sends these pieces; every third payload is skipped. */
function parsed(pieces: readonly Uint8Array[], extended: boolean): Parsed[] {
  const parser = new RequestParser(extended)
  const list: Parsed[] = []
  let current: Request | undefined
  let left = 0
  for (const piece of pieces) {
    parser.push(piece)
    for (;;) {
      if (current === undefined) {
        current = parser.request()
        if (current === undefined) break
        left = payloadBytes(current, extended)
      }
      let payload: Uint8Array | undefined = new Uint8Array(0)
      if (list.length % 3 === 2) {
        left -= parser.skip(left)
        if (left > 0) break
      } else if (left > 0) {
        payload = parser.payload(left)
        if (payload === undefined) break
      }
      list.push(record(current, payload))
      current = undefined
    }
  }
  if (parser.buffered > 0) throw new Error(`${parser.buffered} bytes are left`)
  return list
}

function record(request: Request, payload: Uint8Array): Parsed {
  const { flags, type, offset, length, cookieHigh, cookieLow } = request
  const cookie = (BigInt(cookieHigh >>> 0) << 32n) | BigInt(cookieLow >>> 0)
  return { flags, type, cookie, offset, length, payload: Buffer.from(payload) }
}

const wish = fc.record({
  type: fc.integer({ min: 0, max: 9 }),
  flags: fc.integer({ min: 0, max: 0xffff }).map((flags) => flags & ~CommandFlag.payloadLength),
  cookie: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  offset: fc.maxSafeInteger().map(Math.abs),
  length: fc.integer({ min: 0, max: 200 }),
})

/** `bytes` in pieces that end at `cuts`. */
function chopped(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b)
  const edges = [0, ...ends, bytes.length]
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
}

for (const extended of [false, true]) {
  t.test(`requests are the same in whatever pieces they come (extended: ${extended})`, async () => {
    const headers = extended ? 'extended' : 'simple'
    fc.assert(
      fc.property(
        fc.array(wish, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(5000), { maxLength: 60 }),
        (wishes, cuts) => {
          const whole = Buffer.concat(
            wishes.map((wish) => {
              const isWrite = wish.type === 1
              const payload = isWrite ? patterned(wish.length) : new Uint8Array(0)
              return requestBytes({ ...wish, payload }, headers)
            }),
          )
          const together = parsed([whole], extended)
          t.equal(together.length, wishes.length)
          for (const [index, { type, cookie, offset, length, payload }] of together.entries()) {
            t.match({ type, cookie, offset, length }, { ...wishes[index], flags: undefined })
            const kept = type === 1 && index % 3 !== 2
            t.equal(payload.equals(kept ? patterned(length) : new Uint8Array(0)), true)
          }
          t.strictSame(parsed(chopped(whole, cuts), extended), together)
          const bytes = Array.from(whole, (byte) => Uint8Array.of(byte))
          t.strictSame(parsed(bytes, extended), together)
        },
      ),
      { numRuns: 100 },
    )
  })
}
