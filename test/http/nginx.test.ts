import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { promisify } from 'node:util'

import { join } from 'node:path'
import t from 'tap'
import { Nginx } from '../fixtures/nginx.ts'
import { runAsRoot } from '../../qemu-harness/command.ts'
import { SourceChanged, SourceRefused } from '../../src/errors.ts'
import { Mirrors } from '../../src/http/mirrors.ts'
import type { HttpOptions } from '../../src/http/options.ts'
import { patterned } from '../fixtures/bytes.ts'
import { Authority } from '../fixtures/authority.ts'
import { treeOf } from '../fixtures/oracles.ts'
import { PLAIN_HTTP } from '../fixtures/http-options.ts'

/** A web server that we did not write: the nginx of Debian 13. */

const content = patterned(3_000_000)
const PATIENT = { connectMs: 10_000, firstByteMs: 10_000, stallMs: 10_000 }
/** Making the tree takes a minute, more where packages come slowly. */
t.setTimeout(900_000)

const tree = await treeOf('trixie')
const nginx = 'path' in tree ? await startNginx(tree.path) : undefined
const skip = 'reason' in tree ? tree.reason : false
t.teardown(() => nginx?.[Symbol.asyncDispose]())

async function open(url: string, more: Partial<HttpOptions> = {}): Promise<Mirrors> {
  const options = { ...PLAIN_HTTP, timeouts: PATIENT, ...more }
  return (await Mirrors.open(new URL(url), options, () => {})).source
}

async function whole(source: Mirrors): Promise<Uint8Array> {
  const bytes = new Uint8Array(source.size)
  const parts = Array.from({ length: 30 }, (_, index) => index * 100_000)
  await Promise.all(
    parts.map((offset) => source.read(bytes.subarray(offset, offset + 100_000), offset)),
  )
  return bytes
}

t.test('ranges of a file that nginx would rather compress', { skip }, async (t) => {
  const { url } = nginx!
  await using source = await open(url('image'))
  t.strictSame(await whole(source), content)
  t.match(source.state.servers[0]?.identity, /^"[\da-f]+-[\da-f]+"$/)
})

t.test('nginx names another version as soon as the file is replaced', { skip }, async (t) => {
  const { folder, url } = nginx!
  await writeFile(join(folder, 'replaced'), content)
  await utimes(join(folder, 'replaced'), 1_700_000_000, 1_700_000_000)
  await using source = await open(url('replaced'))
  await writeFile(join(folder, 'replaced'), patterned(3_000_000, 3))
  const target = new Uint8Array(10)
  await t.rejects(source.read(target, 2_000_000), SourceChanged)
  await writeFile(join(folder, 'replaced'), content)
  await utimes(join(folder, 'replaced'), 1_700_000_000, 1_700_000_000)
  await source.read(target, 2_000_000)
  t.strictSame(target, content.subarray(2_000_000, 2_000_010))
})

t.test('https with a private authority and a certificate of the client', { skip }, async (t) => {
  const { tlsPort, authority, client } = nginx!
  const tls = { verifies: true, ca: authority.cert }
  const showing = { ...tls, client: { certificate: client.cert, key: client.key } }
  const at = `https://localhost:${tlsPort}/image`
  await using source = await open(at, { tls: showing })
  t.strictSame(await whole(source), content)
  await t.rejects(open(at, { tls }), SourceRefused)
})

t.test(
  'a copy with another date is a mirror by its .sha256, one with the same by its ETag',
  { skip },
  async (t) => {
    const { folder, url } = nginx!
    await writeFile(join(folder, 'copy'), content)
    const mirrors = [new URL(url('copy'))]
    const state = async () => {
      await using source = await open(url('image'), { mirrors })
      await whole(source)
      while (source.state.servers[1]?.state === 'outside' && !source.state.servers[1].failures) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      return source.state.servers[1]
    }
    await utimes(join(folder, 'image'), 1_700_000_000, 1_700_000_000)
    await utimes(join(folder, 'copy'), 1_600_000_000, 1_600_000_000)
    t.match(await state(), { state: 'outside', failure: /nothing proves/ })
    const { stdout } = await sha256sum(folder, ['image', 'copy'])
    for (const line of stdout.trim().split('\n')) {
      await writeFile(join(folder, `${line.slice(66)}.sha256`), `${line}\n`)
    }
    t.match(await state(), { state: 'good' })
    await rm(join(folder, 'copy.sha256'))
    t.match(await state(), { state: 'outside' })
    await utimes(join(folder, 'copy'), 1_700_000_000, 1_700_000_000)
    t.match(await state(), { state: 'good' })
  },
)

async function sha256sum(cwd: string, names: readonly string[]) {
  return promisify(execFile)('sha256sum', [...names], { cwd })
}

/** An nginx that would tempt a careless client: it compresses everything, and has a .gz beside. */
async function startNginx(tree: string) {
  const folder = await mkdtemp(join(tree, 'tmp', 'netcow-'))
  const within = folder.slice(tree.length)
  const authority = await Authority.open()
  const local = await authority.issue('DNS:localhost', 'IP:127.0.0.1')
  const client = await authority.issue('DNS:client')
  const contents = {
    image: content,
    'image.gz': 'not the image',
    'cert.pem': local.cert,
    'key.pem': local.key,
    'ca.pem': authority.cert,
  }
  for (const [name, bytes] of Object.entries(contents)) await writeFile(join(folder, name), bytes)
  const tlsPort = await freePort()
  const plain = `root ${within}; gzip on; gzip_types *; gzip_min_length 1; gzip_static on;`
  const secure = `server {
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${within}/cert.pem;
    ssl_certificate_key ${within}/key.pem;
    ssl_client_certificate ${within}/ca.pem;
    ssl_verify_client on;
    location / { root ${within}; }
  }`
  const server = await Nginx.start(tree, join(folder, 'web'), plain, secure)
  return {
    folder,
    tlsPort,
    authority,
    client,
    url: (name: string) => `http://127.0.0.1:${server.port}/${name}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await authority[Symbol.asyncDispose]()
      await runAsRoot(['rm', '-r', join(folder, 'web')])
      await rm(folder, { recursive: true })
    },
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}
