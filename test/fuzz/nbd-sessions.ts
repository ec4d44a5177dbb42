import { execFile } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import { Command, CommandFlag, Option } from '../../src/nbd/protocol.ts'
import {
  type Headers,
  goPayload,
  metaPayload,
  optionBytes,
  requestBytes,
} from '../fixtures/nbd-client.ts'
import type { Random } from './random.ts'

/** What a client says in one connection, message by message. */
export type Session = readonly Uint8Array[]

/** Sessions of clients that nobody here wrote, recorded on their way to `path`, and some by hand. */
export async function makeSessions(path: string): Promise<readonly Session[]> {
  const record = `${path}.tee`
  const uri = `nbd+unix:///?socket=${record}`
  const recorded: Buffer[] = []
  const tee = createServer((client) => {
    const server = connect(path)
    const said: Buffer[] = []
    client.on('data', (chunk: Buffer) => said.push(chunk)).pipe(server)
    server.pipe(client)
    client.on('close', () => recorded.push(Buffer.concat(said)))
    for (const socket of [client, server]) socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => {
    tee.listen(record, resolve)
  })
  const run = promisify(execFile)
  const io = ['write -P 7 3k 70k', 'write -z 9k 5k', 'discard 64k 64k', 'flush', 'read 0 64k']
  await run('nbdinfo', [uri])
  await run('nbdinfo', ['--list', uri])
  await run('nbdinfo', ['--map', uri])
  await run('nbdcopy', [uri, 'null:'])
  await run('qemu-io', ['-f', 'raw', ...io.flatMap((command) => ['-c', command]), uri])
  await run('qemu-img', ['map', '--output=json', uri])
  tee.close()
  return [...recorded.filter(({ length }) => length > 0).map(messages), ...byHand()]
}

function byHand(): Session[] {
  const flags = Buffer.from([0, 0, 0, 3])
  const contexts = metaPayload('', ['base:allocation', 'qemu:allocation-depth'])
  const opened = (headers: Headers): Uint8Array[] => {
    const option = headers === 'extended' ? Option.extendedHeaders : Option.structuredReply
    const agreed = headers === 'simple' ? [] : [optionBytes(option)]
    const selected = headers === 'simple' ? [] : [optionBytes(Option.setMetaContext, contexts)]
    return [flags, ...agreed, ...selected, optionBytes(Option.go, goPayload('', [0, 3]))]
  }
  const asked = (headers: Headers): Uint8Array[] => {
    const { reqOne, df, noHole, fua, fastZero } = CommandFlag
    const payload = Buffer.alloc(5000, 7)
    const filter = Buffer.from(['00000000000f0000', '00000002'].join(''), 'hex')
    const status = { type: Command.blockStatus, length: 2 ** 20 }
    return [
      { type: Command.read, length: 4096 },
      { type: Command.read, length: 2 ** 21, flags: headers === 'simple' ? 0 : df },
      { type: Command.write, offset: 700, payload, flags: fua },
      { type: Command.writeZeroes, offset: 2 ** 20, length: 2 ** 26, flags: fastZero },
      { type: Command.writeZeroes, offset: 9000, length: 9000, flags: noHole },
      { type: Command.trim, offset: 1, length: 2 ** 26 },
      { type: Command.cache, length: 2 ** 22 },
      status,
      { ...status, flags: reqOne },
      ...(headers === 'extended' ? [{ type: Command.blockStatus, payload: filter }] : []),
      { type: Command.flush },
      { type: Command.disconnect },
    ].map((wish, index) => requestBytes({ ...wish, cookie: BigInt(index + 100) }, headers))
  }
  const every = [Option.list, Option.structuredReply, Option.extendedHeaders, Option.startTls]
  const looking = [
    flags,
    ...every.map((option) => optionBytes(option)),
    optionBytes(Option.listMetaContext, metaPayload('', [])),
    optionBytes(Option.info, goPayload('', [0, 1, 2, 3])),
    optionBytes(Option.abort),
  ]
  const old = [flags, optionBytes(Option.exportName), ...asked('simple')]
  const styles = ['simple', 'structured', 'extended'] as const
  return [looking, old, ...styles.map((headers) => [...opened(headers), ...asked(headers)])]
}

const MAGICS = ['49484156454f5054', '25609513', '21e41c71'].map((hex) => Buffer.from(hex, 'hex'))

/** Cuts a stream where something begins that looks like a message. */
function messages(stream: Buffer): Session {
  const starts = new Set([0, Math.min(4, stream.length)])
  for (const magic of MAGICS) {
    for (let at = stream.indexOf(magic); at >= 0; at = stream.indexOf(magic, at + 1)) starts.add(at)
  }
  const edges = [...starts].toSorted((a, b) => a - b)
  return edges.map((start, index) => stream.subarray(start, edges[index + 1]))
}

const NUMBERS = [0n, 1n, 511n, 0xffffn, 1n << 20n, 1n << 26n, 0x7fff_ffffn, 0xffff_ffffn].concat([
  1n << 32n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
])
const MOST_MUTATIONS = 5

/** A damaged copy of a session: messages changed, moved, repeated, left out, taken from others. */
export function mutateSession(
  session: Session,
  others: readonly Session[],
  random: Random,
): Session {
  let said = [...session]
  for (let count = 1 + random.below(MOST_MUTATIONS); count > 0; count--) {
    const index = random.below(said.length)
    switch (random.below(9)) {
      case 0:
        said.splice(index, 1)
        break
      case 1:
        said.splice(index, 0, said[random.below(said.length)]!)
        break
      case 2: {
        const other = random.pick(others)
        said.splice(index, random.below(2), random.pick(other))
        break
      }
      case 3: {
        const other = random.pick(others)
        said = [...said.slice(0, index), ...other.slice(random.below(other.length))]
        break
      }
      case 4:
        said.splice(index, 0, ...Array.from({ length: random.below(600) }, () => said[index]!))
        break
      default:
        said[index] = mutateMessage(said[index]!, random)
    }
    if (said.length === 0) return [...random.pick(others)]
  }
  return said
}

function mutateMessage(message: Uint8Array, random: Random): Uint8Array {
  const bytes = Buffer.from(message)
  if (bytes.length === 0) return bytes
  // The beginning is where everything has a meaning.
  const at = random.below(Math.min(bytes.length, random.pick([4, 16, 28, 32, 5000])))
  switch (random.below(6)) {
    case 0:
      bytes[at]! ^= 1 << random.below(8)
      return bytes
    case 1:
      bytes[at] = random.below(256)
      return bytes
    case 2:
      if (at + 8 <= bytes.length) bytes.writeBigUInt64BE(random.pick(NUMBERS), at - (at % 4))
      return bytes
    case 3:
      if (at + 4 <= bytes.length)
        bytes.writeUInt32BE(Number(BigInt.asUintN(32, random.pick(NUMBERS))), at - (at % 2))
      return bytes
    case 4:
      return bytes.subarray(0, at)
    default:
      return Buffer.concat([bytes, bytes.subarray(at)])
  }
}
