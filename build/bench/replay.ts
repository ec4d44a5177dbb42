import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Read } from '../../qemu-harness/boot-trace.ts'
import { ByteReader } from '../../src/nbd/byte-reader.ts'
import {
  ClientFlags,
  Command,
  Greeting,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  OPTION_MAGIC,
  Option,
  OptionHeader,
  OptionReply,
  REQUEST_MAGIC,
  Reply,
  RequestHeader,
  SimpleReply,
} from '../../src/nbd/protocol.ts'

export interface Replayed {
  readonly seconds: number
  /** Of all that was read, in its order: every server must come to the same. */
  readonly digest: string
}

/** A server that sends nothing for so long will not any more. */
const SILENCE_MS = 60_000

/**
 * Reads through NBD what a boot read, each request once the one before is answered, as fast as they
 * are answered. The clock runs from the connection to the last byte.
 */
export async function replay(path: string, reads: readonly Read[]): Promise<Replayed> {
  const socket = connect(path)
  socket.setNoDelay()
  let end = 'the server closes the connection'
  socket.setTimeout(SILENCE_MS, () => {
    end = `the server sends nothing for ${SILENCE_MS / 1000} s`
    socket.destroy()
  })
  try {
    const startMs = performance.now()
    await once(socket, 'connect')
    using reader = new ByteReader(socket)
    const take = async (length: number) => {
      const bytes = await reader.read(length)
      if (bytes === undefined) throw new Error(`${path}: ${end}`)
      return bytes
    }
    await negotiate(take, (bytes) => socket.write(bytes))
    const answers: Buffer[] = []
    for (const [index, { offset, length }] of reads.entries()) {
      const header = { flags: 0, type: Command.read, cookie: BigInt(index), length }
      socket.write(RequestHeader.encode({ magic: REQUEST_MAGIC, offset, ...header }))
      const { error } = SimpleReply.decode(await take(SimpleReply.size))
      if (error !== 0) throw new Error(`${path}: error ${error} at ${offset}+${length}`)
      answers.push(await take(length))
    }
    const seconds = (performance.now() - startMs) / 1000
    const digest = createHash('sha256')
    for (const answer of answers) digest.update(answer)
    return { seconds, digest: digest.digest('hex') }
  } finally {
    socket.destroy()
  }
}

/** Fixed newstyle: NBD_OPT_GO for the export without a name. */
async function negotiate(
  take: (length: number) => Promise<Buffer>,
  send: (bytes: Uint8Array) => void,
): Promise<void> {
  await take(Greeting.size)
  send(ClientFlags.encode({ flags: HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES }))
  // The length of the name and the number of pieces of information asked for: none.
  const payload = new Uint8Array(6)
  send(OptionHeader.encode({ magic: OPTION_MAGIC, option: Option.go, length: payload.length }))
  send(payload)
  for (;;) {
    const { type, length } = OptionReply.decode(await take(OptionReply.size))
    if (length > 0) await take(length)
    if (type === Reply.ack) return
    if (type !== Reply.info) throw new Error(`NBD_OPT_GO is answered with ${type}`)
  }
}
