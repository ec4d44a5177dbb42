import type { BlockSource } from '../block/source.ts'
import { REPLY_FLAG_DONE } from './protocol.ts'
import type { ChunkedReplies } from './replies.ts'
import type { Request } from './request.ts'

/** Holes do not begin or end within a sector. */
const SECTOR = 512
/** Smaller ones are not looked for in reads of more: a reply in pieces costs more than so many zeroes. */
const PAGE = 4096
const ZEROES = Buffer.alloc(PAGE)
/** What lies behind so many changes between data and holes is sent as data. */
const MOST_RUNS = 1024

/**
 * Whether there may be a hole in what was read at `offset`: some page of it is all zeroes, or some
 * sector where less than a page was read. It costs far less than to ask the metadata, which only one in 250 reads of a root file system then does.
 */
export function mayHoldHole(bytes: Buffer, offset: number): boolean {
  const unit = bytes.length < PAGE ? SECTOR : PAGE
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + unit - ((offset + at) % unit))
    if (bytes[at] === 0 && end - at >= SECTOR && bytes.compare(ZEROES, 0, end - at, at, end) === 0)
      return true
    at = end
  }
  return false
}

/**
 * A reply to a read in data and hole chunks, as the metadata has it. `bytes` are what was read.
 * Undefined where all of it is data.
 */
export async function sparseReply(
  source: BlockSource,
  replies: ChunkedReplies,
  request: Request,
  bytes: Buffer,
): Promise<readonly Buffer[] | undefined> {
  const runs = await runsOf(source, request.offset, bytes.length)
  if (runs.length === 1 && runs[0]?.isData) return undefined
  const reply: Buffer[] = []
  let at = 0
  for (const [index, { isData, length }] of runs.entries()) {
    const flags = index === runs.length - 1 ? REPLY_FLAG_DONE : 0
    const offset = request.offset + at
    if (isData) {
      reply.push(replies.dataHead(request, offset, length, flags))
      reply.push(bytes.subarray(at, at + length))
    } else reply.push(replies.hole(request, offset, length, flags))
    at += length
  }
  return reply
}

interface Run {
  readonly isData: boolean
  length: number
}

async function runsOf(source: BlockSource, offset: number, length: number): Promise<Run[]> {
  const runs: Run[] = []
  const end = offset + length
  for (let at = offset; at < end;) {
    const few = runs.length < MOST_RUNS
    const extent = few ? await source.extent(at, end - at) : { kind: 'data', length: end - at }
    const isData = extent.kind === 'data'
    const last = runs.at(-1)
    if (last?.isData === isData) last.length += extent.length
    else runs.push({ isData, length: extent.length })
    at += extent.length
  }
  return runs
}
