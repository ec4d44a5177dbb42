import {
  Chunk,
  EXTENDED_REPLY_MAGIC,
  ErrorChunk,
  ErrorValue,
  ExtendedReply,
  Greeting,
  HoleChunk,
  OPTION_REPLY_MAGIC,
  OptionReply,
  REPLY_FLAG_DONE,
  Reply,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  SimpleReply,
  StructuredReply,
} from '../../src/nbd/protocol.ts'

const ERRORS = new Set<number>(Object.values(ErrorValue))
const CHUNKS = new Set<number>(Object.values(Chunk))
const REPLIES = new Set<number>(Object.values(Reply))
/** Behind EXPORT_NAME stand the size and flags, and zeroes for who wants them. */
const EXPORT_ANSWER_BYTES = 10
const PADDING_BYTES = 124

/**
 * What is wrong with what the server said; undefined where nothing is. The last message may be cut.
 * Simple replies do not tell whether bytes follow: behind the first that may have some, one looks no
 * further.
 */
export function faultOf(said: Buffer, exportBytes: number): string | undefined {
  let at = Greeting.size
  const left = (size: number) => said.length - at >= size
  while (left(OptionReply.size) && said.readBigUInt64BE(at) === OPTION_REPLY_MAGIC) {
    const { type, length } = OptionReply.decode(said, at)
    if (!REPLIES.has(type)) return `a reply of type ${type.toString(16)} to an option`
    if (length > 8192) return `a reply of ${length} bytes to an option`
    at += OptionReply.size + length
  }
  if (left(EXPORT_ANSWER_BYTES) && said.readBigUInt64BE(at) === BigInt(exportBytes)) {
    at += EXPORT_ANSWER_BYTES
    const padding = said.subarray(at, at + PADDING_BYTES)
    if (padding.length === PADDING_BYTES && padding.every((byte) => byte === 0)) at += PADDING_BYTES
  }
  while (left(ExtendedReply.size)) {
    const fault = replyAt(said, at)
    if (typeof fault !== 'number') return fault
    at += fault
  }
  return undefined
}

/** The length of the reply at `at`, or what is wrong with it; undefined to stop looking. */
function replyAt(said: Buffer, at: number): number | string | undefined {
  const magic = said.readUInt32BE(at)
  switch (magic) {
    case SIMPLE_REPLY_MAGIC: {
      const { error } = SimpleReply.decode(said, at)
      if (!ERRORS.has(error)) return `error ${error}`
      return error === 0 ? undefined : SimpleReply.size
    }
    case STRUCTURED_REPLY_MAGIC: {
      const { flags, type, length } = StructuredReply.decode(said, at)
      return chunkAt(said, at + StructuredReply.size, {
        flags,
        type,
        length,
        head: StructuredReply.size,
      })
    }
    case EXTENDED_REPLY_MAGIC: {
      const { flags, type, length } = ExtendedReply.decode(said, at)
      return chunkAt(said, at + ExtendedReply.size, {
        flags,
        type,
        length,
        head: ExtendedReply.size,
      })
    }
    default:
      return `something that is no reply at ${at}: ${said.toString('hex', at, at + 16)}`
  }
}

function chunkAt(
  said: Buffer,
  at: number,
  { flags, type, length, head }: { flags: number; type: number; length: number; head: number },
): number | string {
  if ((flags & ~REPLY_FLAG_DONE) !== 0) return `chunk flags ${flags}`
  if (!CHUNKS.has(type)) return `a chunk of type ${type}`
  if (length > 2 ** 27) return `a chunk of ${length} bytes`
  if (said.length - at < length) return head + length
  if (type === Chunk.none && (length !== 0 || flags === 0)) return 'an empty chunk that is none'
  if (type === Chunk.offsetData && length < 9) return 'a data chunk without data'
  if (type === Chunk.offsetHole && (length !== 12 || HoleChunk.decode(said, at).length === 0))
    return 'a hole chunk without a hole'
  if (type === Chunk.error) {
    const { error, textLength } = ErrorChunk.decode(said, at)
    if (error === 0 || !ERRORS.has(error)) return `error ${error} in a chunk`
    if (textLength !== length - ErrorChunk.size) return 'an error text of another length'
  }
  if (type === Chunk.blockStatus && (length < 12 || length % 8 !== 4)) return 'a bent status chunk'
  if (type === Chunk.blockStatusExtended && (length < 24 || length % 16 !== 8))
    return 'a bent extended status chunk'
  return head + length
}
