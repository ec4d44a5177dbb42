import t from 'tap'
import {
  Command,
  ErrorValue,
  HANDSHAKE_FIXED_NEWSTYLE,
  Info,
  InfoBlockSize,
  InfoExport,
  Option,
  OptionHeader,
  Reply,
  TransmissionFlag,
} from '../../src/nbd/protocol.ts'
import { patterned } from '../fixtures/bytes.ts'
import { deviceOf } from '../fixtures/device.ts'
import { NbdClient, goPayload, metaPayload, optionBytes } from '../fixtures/nbd-client.ts'
import { serving } from '../fixtures/nbd-serving.ts'

const content = patterned(1 << 20)
const readOnly = () => ({ access: 'read-only', source: deviceOf(content) }) as const
const NAMED = { name: 'disk', description: 'a disk of the tests' }

t.test('a handshake that comes byte by byte is understood', async (t) => {
  const { path } = await serving(t, readOnly())
  using client = await NbdClient.greeted(path)
  client.socket.setNoDelay(true)
  for (const byte of optionBytes(Option.abort)) {
    client.socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal((await client.bytes(20)).readUInt32BE(12), Reply.ack)
  t.ok(await client.closed())
})

t.test('options that make no sense are refused, and the negotiation goes on', async (t) => {
  const { path } = await serving(t, readOnly(), NAMED)
  using client = await NbdClient.greeted(path)
  const verdict = (option: number, payload?: Uint8Array) => client.verdict(option, payload)
  t.equal(await verdict(0xee, Buffer.from('abc')), Reply.errUnsup, 'unknown')
  t.equal(await verdict(Option.startTls), Reply.errUnsup, 'no TLS here')
  t.equal(await verdict(Option.list, Buffer.from('x')), Reply.errInvalid, 'a payload too many')
  t.equal(await verdict(Option.structuredReply, Buffer.from('x')), Reply.errInvalid)
  t.equal(await verdict(Option.extendedHeaders, Buffer.from('x')), Reply.errInvalid)
  t.equal(await verdict(Option.go, Buffer.from('00000009616263', 'hex')), Reply.errInvalid)
  t.equal(await verdict(Option.go, Buffer.alloc(0)), Reply.errInvalid, 'no name')
  t.equal(await verdict(Option.go, goPayload('disk', [0]).subarray(0, -1)), Reply.errInvalid)
  t.equal(await verdict(Option.go, goPayload('di\0k')), Reply.errInvalid, 'NUL in a name')
  t.equal(await verdict(Option.go, goPayload('x'.repeat(4097))), Reply.errInvalid, 'a long name')
  t.equal(await verdict(Option.go, goPayload('other')), Reply.errUnknown)
  t.equal(await verdict(Option.info, Buffer.alloc(1 << 20)), Reply.errTooBig, 'drained')
  t.equal(await verdict(Option.go, goPayload('disk')), Reply.ack)
})

t.test(
  'an option that is too long is said to be, or unknown, and replaces what was set',
  async (t) => {
    const { path } = await serving(t, readOnly())
    using client = await NbdClient.greeted(path)
    const long = new Uint8Array(70_000)
    t.equal(await client.verdict(0xdeadbeef, long), Reply.errUnsup)
    t.equal(await client.verdict(Option.list, long), Reply.errTooBig)
    t.equal(await client.verdict(Option.structuredReply), Reply.ack)
    await client.option(Option.setMetaContext, metaPayload('', ['base:allocation']))
    t.equal(await client.verdict(Option.setMetaContext, long), Reply.errTooBig)
    t.equal((await client.option(Option.go, goPayload(''))).at(-1)?.type, Reply.ack)
    client.headers = 'structured'
    const asked = await client.request({ type: Command.blockStatus, length: 512 })
    t.equal(asked.error, ErrorValue.invalid, 'no context is left')
  },
)

t.test('an export has the name and the description that it was given', async (t) => {
  const { path } = await serving(t, readOnly(), NAMED)
  using client = await NbdClient.greeted(path)
  const [listed] = await client.option(Option.list)
  t.equal(listed?.payload.toString(), '\0\0\0\x04diska disk of the tests')
  const wanted = [Info.name, Info.description, 99]
  const answers = await client.option(Option.info, goPayload('disk', wanted))
  const infos = answers.filter(({ type }) => type === Reply.info).map(({ payload }) => payload)
  const byType = (type: number) => infos.find((info) => info.readUInt16BE() === type)!
  t.equal(infos.length, 4)
  t.equal(byType(Info.name).toString('utf8', 2), 'disk')
  t.equal(byType(Info.description).toString('utf8', 2), 'a disk of the tests')
  t.equal(InfoExport.decode(byType(Info.export)).size, content.length)
  t.match(InfoBlockSize.decode(byType(Info.blockSize)), { minimum: 1, maximum: 64 << 20 })
})

t.test('EXPORT_NAME ends the handshake the old way, with or without zeroes', async (t) => {
  const { path } = await serving(t, readOnly(), NAMED)
  for (const [flags, length] of [
    [0, 134],
    [HANDSHAKE_FIXED_NEWSTYLE, 134],
    [HANDSHAKE_FIXED_NEWSTYLE | 2, 10],
  ] as const) {
    using client = await NbdClient.greeted(path, flags)
    client.socket.write(optionBytes(Option.exportName, Buffer.from('disk')))
    const answer = await client.bytes(length)
    t.equal(answer.readBigUInt64BE(), 1n << 20n)
    const { bytes } = await client.request({ type: 0, length: 16 })
    t.ok(bytes.equals(content.subarray(0, 16)), 'transmission begins right behind it')
  }
})

t.test('what cannot be answered ends the connection', async (t) => {
  const { path } = await serving(t, readOnly(), NAMED)
  const cases: readonly (readonly [name: string, flags: number, bytes: Uint8Array])[] = [
    ['unknown client flags', 0xffff_ffff, Buffer.alloc(0)],
    ['an export that is not there', 3, optionBytes(Option.exportName, Buffer.from('other'))],
    [
      'an endless name',
      3,
      OptionHeader.encode({ magic: 0x49484156454f5054n, option: 1, length: 2 ** 31 }),
    ],
    ['something that is no option', 3, Buffer.alloc(16, 0xee)],
    ['options without fixed newstyle', 0, optionBytes(Option.list)],
  ]
  for (const [name, flags, bytes] of cases) {
    using client = await NbdClient.greeted(path, flags)
    client.socket.write(bytes)
    t.ok(await client.closed(), name)
  }
  using extended = await NbdClient.greeted(path)
  await extended.agreeOn('extended')
  extended.socket.write(optionBytes(Option.exportName, Buffer.from('disk')))
  t.ok(await extended.closed(), 'EXPORT_NAME after extended headers')
})

t.test('extended headers are not given up for structured replies', async (t) => {
  const { path } = await serving(t, readOnly())
  using client = await NbdClient.greeted(path)
  t.equal(await client.verdict(Option.structuredReply), Reply.ack)
  t.equal(await client.verdict(Option.structuredReply), Reply.errInvalid, 'twice')
  t.equal(await client.verdict(Option.extendedHeaders), Reply.ack)
  t.equal(await client.verdict(Option.extendedHeaders), Reply.errInvalid, 'twice')
  t.equal(await client.verdict(Option.structuredReply), Reply.errExtendedHeadersRequired)
})

t.test('flags tell what was agreed on', async (t) => {
  const { path } = await serving(t, readOnly())
  const flagsOf = async (client: NbdClient, option: number) => {
    const answers = await client.option(option, goPayload(''))
    return InfoExport.decode(answers[0]!.payload).transmissionFlags
  }
  const { sendDf, blockStatusPayload, readOnly: isReadOnly } = TransmissionFlag
  const all = sendDf | blockStatusPayload | isReadOnly
  using client = await NbdClient.greeted(path)
  t.equal((await flagsOf(client, Option.info)) & all, isReadOnly)
  await client.agreeOn('structured')
  t.equal((await flagsOf(client, Option.info)) & all, isReadOnly | sendDf)
  await client.agreeOn('extended')
  t.equal((await flagsOf(client, Option.info)) & all, all)
  await client.option(Option.setMetaContext, metaPayload('', ['base:allocation']))
  t.equal((await flagsOf(client, Option.go)) & all, all)
})

t.test('contexts are listed by namespace and selected by name', async (t) => {
  const { path } = await serving(t, readOnly())
  using client = await NbdClient.greeted(path)
  const names = async (option: number, queries: readonly string[], name = '') => {
    const answers = await client.option(option, metaPayload(name, queries))
    return answers.map(({ type, payload }) =>
      type === Reply.metaContext
        ? `${payload.readUInt32BE()} ${payload.toString('utf8', 4)}`
        : type,
    )
  }
  const { listMetaContext: list, setMetaContext: set } = Option
  t.strictSame(await names(set, ['base:allocation']), [Reply.errInvalid], 'too early')
  await client.agreeOn('structured')
  const base = '0 base:allocation'
  const depth = '0 qemu:allocation-depth'
  t.strictSame(await names(list, []), [base, depth, Reply.ack])
  t.strictSame(await names(list, ['base:']), [base, Reply.ack])
  t.strictSame(await names(list, ['qemu:', 'x:', 'base']), [depth, Reply.ack])
  t.strictSame(await names(set, ['base:', 'qemu:']), [Reply.ack], 'no wildcards')
  t.strictSame(await names(set, ['qemu:allocation-depth']), ['2 qemu:allocation-depth', Reply.ack])
  t.strictSame(await names(set, [], 'other'), [Reply.errUnknown])
  const broken = Buffer.concat([metaPayload('', []).subarray(0, 4), Buffer.alloc(4, 0xff)])
  t.equal(await client.verdict(set, broken), Reply.errInvalid, 'more queries than bytes')
  await client.option(Option.go, goPayload(''))
  const { error } = await client.request({ type: 7, length: 512 })
  t.equal(error, 22, 'what failed has given up what was selected before')
})
