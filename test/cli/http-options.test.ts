import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { httpOptions } from '../../src/cli/http-options.ts'
import { type OptionTexts, parseOptions } from '../../src/cli/options.ts'
import { imageName } from '../../src/cli/plan.ts'
import { argvOf, parseBootWords } from '../../src/cli/words.ts'
import { UsageError } from '../../src/errors.ts'
import { Authority } from '../fixtures/authority.ts'

/** What users say about servers, and what of it is refused. */

const directory = t.testdir()
const IMAGE = 'https://images.test/pool/debian.qcow2'

function file(name: string, text: string): string {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}

const parsed = (texts: OptionTexts, image = IMAGE) =>
  httpOptions(
    imageName(image),
    parseOptions(texts, (name) => `--${name}`),
  )

t.test('headers are for the server of the image, those of a section for its own', async (t) => {
  const text = `# secrets
Authorization: Bearer near
Proxy-Authorization: Basic cHJveHk=

[https://mirror.test:8443/whatever]
authorization: Basic ZmFy
[http://images.test]
X-Plain: 1
[https://images.test]
X-Also: here
`
  const options = { 'header-file': file('headers', text), header: ['X-Pool: 7'] }
  const { credentials, proxy } = await parsed({ ...options, proxy: 'http://proxy.test:3128' })
  t.strictSame(Object.fromEntries(credentials), {
    'https://images.test': { authorization: 'Bearer near', 'x-pool': '7', 'x-also': 'here' },
    'https://mirror.test:8443': { authorization: 'Basic ZmFy' },
    'http://images.test': { 'x-plain': '1' },
  })
  t.equal(proxy?.url.href, 'http://proxy.test:3128/')
  t.equal(proxy?.authorization, 'Basic cHJveHk=')
})

t.test('headers that would go to nobody are refused', async (t) => {
  const header = ['X-Pool: 7']
  await t.rejects(parsed({ header }, '/srv/debian.qcow2'), { message: /on no server/ })
  const options = { 'header-file': file('far', '[https://far.test]\nX-Pool: 7\n') }
  const { credentials } = await parsed(options, '/srv/debian.qcow2')
  t.strictSame(Object.fromEntries(credentials), { 'https://far.test': { 'x-pool': '7' } })
})

t.test('a secret is never printed, and never taken from the command line', async (t) => {
  const bad = file('bad', 'X: 1\nAuthorization Bearer s3cret\n')
  await t.rejects(parsed({ 'header-file': bad }), {
    message: /line that is not/,
    where: { line: 2 },
  })
  const error: unknown = await parsed({ 'header-file': bad }).catch((why: unknown) => why)
  t.ok(error instanceof UsageError && !error.line.includes('s3cret'))
  for (const header of ['Authorization: Bearer x', 'cookie: x', 'Proxy-Authorization: Basic x']) {
    await t.rejects(parsed({ header: [header] }), {
      name: 'UsageError',
      advice: /--header-file/,
    })
  }
  for (const name of ['mirror', 'proxy'] as const) {
    const url = 'http://user:s3cret@mirror.test/x'
    await t.rejects(parsed({ [name]: name === 'mirror' ? [url] : url }), {
      message: /a user name or a password/,
      advice: name === 'proxy' ? /'Proxy-Authorization:/ : /'Authorization:/,
    })
  }
})

t.test('headers that say how a request is sent are refused', async (t) => {
  const refused = { name: 'UsageError', message: /netcow's own/ }
  await t.rejects(parsed({ header: ['X-Pool: 7', 'Connection: upgrade'] }), refused)
  const text = '[https://mirror.test]\nrange: bytes=0-1\n'
  await t.rejects(parsed({ 'header-file': file('ours', text) }), refused)
})

t.test('certificates are looked at before anything is opened', async (t) => {
  await using authority = await Authority.open()
  const { cert, key } = await authority.issue('DNS:client')
  const texts = {
    ca: file('ca.pem', authority.cert),
    'client-cert': file('cert.pem', cert),
    'client-key': file('key.pem', key),
  }
  t.strictSame((await parsed(texts)).tls, {
    verifies: true,
    ca: authority.cert,
    client: { certificate: cert, key },
  })
  const stranger = file('stranger.pem', (await authority.issue('DNS:other')).key)
  const wrong: readonly (readonly [OptionTexts, RegExp])[] = [
    [{ ca: file('no.pem', 'hello') }, /--ca is not what it should be/],
    [{ ca: stranger }, /--ca is not what it should be/],
    [{ ...texts, 'client-key': texts.ca }, /--client-key is not/],
    [{ ...texts, 'client-key': stranger }, /--client-key is not/],
    [{ 'client-cert': texts['client-cert'] }, /go together/],
    [{ ca: join(directory, 'missing') }, /--ca cannot be read: no such file or directory/],
    [{ mirror: ['ftp://mirror.test/x'] }, /is not an http or https URL/],
  ]
  for (const [options, message] of wrong) await t.rejects(parsed(options), { message })
})

t.test('a mirror of what is on no server is a mistake', async (t) => {
  const options = parseOptions({ mirror: ['http://a/x'] }, (name) => `--${name}`)
  await t.rejects(httpOptions(imageName('./image'), options), { message: /--mirror is for/ })
})

t.test('the same as words of the kernel command line, and two that are of dracut', async (t) => {
  const { options } = parseBootWords(
    `rd.netcow=${IMAGE} rd.netcow.mirror=http://a/x netcow.mirror=http://b/x ` +
      'rd.netcow.client-cert=/c rd.netcow.client-key=/k proxy=http://p:3128 rd.noverifyssl',
  )
  t.strictSame(
    new Set(argvOf(options)),
    new Set([
      '--mirror=http://a/x',
      '--mirror=http://b/x',
      '--client-cert=/c',
      '--client-key=/k',
      '--proxy=http://p:3128',
      '--insecure',
    ]),
  )
  t.strictSame(argvOf(parseBootWords(`rd.netcow=${IMAGE} rd.noverifyssl=0`).options), [])
})
