import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { Bytes } from '../../src/block/bytes.ts'
import { SourceRefused, SourceUnavailable } from '../../src/errors.ts'
import { download } from '../../src/http/download.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { PLAIN_HTTP } from '../fixtures/http-options.ts'
import { type Fault, RangeServer } from '../fixtures/range-server.ts'

/** Files of servers without ranges. */

const content = patterned(300_000)
const server = await RangeServer.open({ '/image': content })
t.teardown(() => server[Symbol.asyncDispose]())

const tooLong = (bytes: number) => new SourceRefused(`${bytes} bytes`)
const get = (limitBytes = content.length) =>
  download(new URL(server.url('/image')), PLAIN_HTTP, limitBytes, tooLong)

conforms(t, 'downloaded', content, async () => new Bytes(await get()))

t.test('a whole file is fetched, and asked for without a range', async (t) => {
  t.strictSame(await get(), content)
  t.equal(server.log.at(-1)?.range, undefined)
})

const broken: readonly (readonly [string, Fault])[] = [
  ['a stall', { kind: 'stall', afterBytes: 1000 }],
  ['a reset', { kind: 'reset', afterBytes: 200_000 }],
  ['a short body', { kind: 'close', afterBytes: 299_999 }],
  ['a compressed body', { kind: 'gzip' }],
  ['503', { kind: 'status', status: 503 }],
  [
    'a wrong digest',
    { kind: 'headers', headers: { 'Repr-Digest': `sha-256=:${'A'.repeat(43)}=:` } },
  ],
]
for (const [name, fault] of broken) {
  t.test(`${name} passes, and nothing of it is kept`, async (t) => {
    server.faults.push(fault)
    await t.rejects(get(), SourceUnavailable)
    t.strictSame(await get(), content)
  })
}

t.test('a right digest, and a length that nobody says', async (t) => {
  for (const algorithm of ['sha-256', 'sha-512']) {
    const hash = createHash(algorithm.replace('-', '')).update(content).digest('base64')
    server.faults.push({ kind: 'headers', headers: { 'Repr-Digest': `${algorithm}=:${hash}:` } })
    t.strictSame(await get(), content)
  }
  server.faults.push({ kind: 'headers', headers: { 'Content-Length': undefined } })
  t.strictSame(await get(), content)
})

t.test('what ends with its connection is refused: it looks whole wherever it is cut', async (t) => {
  const old = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
      socket.end(content.subarray(0, 123_456))
    })
  })
  old.listen(0, '127.0.0.1')
  await once(old, 'listening')
  t.teardown(() => old.close())
  const address = old.address()
  const url = new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/image`)
  const failed = download(url, PLAIN_HTTP, content.length, tooLong)
  await t.rejects(failed, { message: /does not say how long the file is/ })
  await t.rejects(failed, SourceRefused)
})

t.test('a longer file than there is room for is refused, said or not', async (t) => {
  const before = server.log.length
  await t.rejects(get(299_999), { message: '300000 bytes' })
  t.equal(server.log.length, before + 1)
  server.faults.push({ kind: 'headers', headers: { 'Content-Length': undefined } })
  await t.rejects(get(1000), SourceRefused)
})
