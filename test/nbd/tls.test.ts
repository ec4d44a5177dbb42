import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Option, Reply } from '../../src/nbd/protocol.ts'
import { checkIdentity } from '../../src/nbd/tls.ts'
import { patterned } from '../fixtures/bytes.ts'
import { Certificates } from '../fixtures/certificates.ts'
import { deviceOf } from '../fixtures/device.ts'
import { NbdClient, goPayload, optionBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

const run = promisify(execFile)
const directory = t.testdir()
const certificates = new Certificates(join(directory, 'pki'))
const content = patterned(1 << 20)
const original = join(directory, 'original')
writeFileSync(original, content)
const readOnly = () => ({ access: 'read-only', source: deviceOf(content) }) as const

/** A folder in which libnbd finds the authority, but no certificate of its own. */
const anonymous = join(directory, 'anonymous')
mkdirSync(anonymous)
copyFileSync(certificates.path('ca-cert.pem'), join(anonymous, 'ca-cert.pem'))

const secureUri = (path: string, folder: string) =>
  `nbds+unix://localhost/?socket=${path}&tls-certificates=${folder}`

t.test('clients read over TLS, and only over TLS', async (t) => {
  const { path, uri } = await serving(t, readOnly(), { tls: certificates.identity(false) })
  const secure = secureUri(path, anonymous)
  const { stdout } = await run('nbdinfo', ['--json', secure])
  t.match(JSON.parse(stdout), { TLS: true })
  const copied = join(directory, 'copied')
  await run('nbdcopy', [secure, copied])
  await run('cmp', [original, copied])
  const credentials = `tls-creds-x509,id=tls0,dir=${anonymous},endpoint=client`
  const image = `driver=nbd,server.type=unix,server.path=${path},tls-creds=tls0,tls-hostname=localhost`
  const words = ['compare', '--object', credentials, '--image-opts', image]
  const { stdout: compared } = await run('qemu-img', [
    ...words,
    `driver=raw,file.driver=file,file.filename=${original}`,
  ])
  t.match(compared, /identical/)
  await t.rejects(run('nbdinfo', [uri]), 'without TLS nothing is told')
})

t.test('a client that has to show a certificate shows one, or is refused', async (t) => {
  const { path } = await serving(t, readOnly(), { tls: certificates.identity(true) })
  const { stdout } = await run('nbdinfo', ['--size', secureUri(path, certificates.folder)])
  t.equal(stdout.trim(), String(content.length))
  await t.rejects(run('nbdinfo', ['--size', secureUri(path, anonymous)]))
  const strangers = new Certificates(join(directory, 'strangers'))
  copyFileSync(certificates.path('ca-cert.pem'), strangers.path('ca-cert.pem'))
  await t.rejects(run('nbdinfo', ['--size', secureUri(path, strangers.folder)]))
})

t.test('before TLS every option is told that it is required', async (t) => {
  const { path } = await serving(t, readOnly(), { tls: certificates.identity(false) })
  using client = await NbdClient.greeted(path)
  for (const option of [Option.list, Option.structuredReply, Option.extendedHeaders, 0xee])
    t.equal(await client.verdict(option), Reply.errTlsRequired)
  t.equal(await client.verdict(Option.go, goPayload('')), Reply.errTlsRequired)
  t.equal(await client.verdict(Option.startTls, Buffer.from('x')), Reply.errInvalid)
  t.equal(await client.verdict(Option.abort), Reply.ack)
  using old = await NbdClient.greeted(path)
  old.socket.write(optionBytes(Option.exportName))
  t.ok(await old.closed(), 'this option has no error reply')
})

t.test('nothing that came before TLS counts as having come through it', async (t) => {
  const { path } = await serving(t, readOnly(), { tls: certificates.identity(false) })
  using client = await NbdClient.greeted(path)
  const both = [optionBytes(Option.startTls), optionBytes(Option.list)]
  client.socket.write(Buffer.concat(both))
  t.ok(await client.closed())
})

t.test('who fails at the TLS handshake is hung up on, and no other', async (t) => {
  const { path } = await serving(t, readOnly(), { tls: certificates.identity(false) })
  using client = await NbdClient.greeted(path)
  t.equal(await client.verdict(Option.startTls), Reply.ack)
  client.socket.write(Buffer.alloc(100, 0xee))
  t.ok(await client.closed())
  using gone = await NbdClient.greeted(path)
  t.equal(await gone.verdict(Option.startTls), Reply.ack)
  gone.socket.destroy()
  await run('nbdinfo', ['--size', secureUri(path, anonymous)])
})

t.test('a key that does not fit the certificate is found at once', async (t) => {
  const { cert } = certificates.identity(false)
  const { key } = new Certificates(join(directory, 'others')).identity(false)
  t.throws(() => checkIdentity({ cert, key }))
})
