import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { number64, struct, u32, u64 } from '../../binary/struct.ts'
import { ImageInvalid, SourceRefused } from '../../errors.ts'

/**
 * How an overlay lies in a file or on a partition:
 *
 *     header              who it belongs to; written last, when the rest has been made
 *     durable map         where the clusters are, as of the last flush
 *     live map            the same as of now; counts only until the machine is started again
 *     clusters            in the order in which they were first written to
 *
 * Behind the fields of the header comes the identity of the image, and perhaps a second one, each
 * followed by the digest of everything before that; then zeroes, but for what destinations.ts keeps from
 * byte 512 on. So the first can be read without
 * knowing of the second, and both can be written over at once: they are in one sector.
 *
 * A page of the maps has a head and entries, one for each cluster of the disk. No entry crosses a
 * sector of 512 bytes, so that none is ever half written.
 */

export const CLUSTER_BYTES = 64 * 1024
export const PAGE_BYTES = 4096
export const ENTRY_BYTES = 32
/** The head of a page has the boot id in the live map. */
export const HEAD_BYTES = 32
export const ENTRIES_PER_PAGE = (PAGE_BYTES - HEAD_BYTES) / ENTRY_BYTES

const HEADER_BYTES = 4096
const MAGIC = 0x4e45_5443_4f57_4f56n // NETCOWOV
const VERSION = 1
const ALIGNMENT = 1 << 20

const Header = struct({
  magic: u64,
  version: u32,
  clusterBytes: u32,
  /** Of the disk. */
  sizeBytes: number64,
})
const MOST_IDENTITIES = 2
/** Of an identity, and of a digest. */
const SHA256_BYTES = 32

export interface Layout {
  readonly clusters: number
  readonly pages: number
  readonly durableMap: number
  readonly liveMap: number
  readonly data: number
}

/** For a disk of so many bytes. */
export function layoutFor(sizeBytes: number): Layout {
  const clusters = Math.ceil(sizeBytes / CLUSTER_BYTES)
  const pages = Math.ceil(clusters / ENTRIES_PER_PAGE)
  const liveMap = HEADER_BYTES + pages * PAGE_BYTES
  const end = liveMap + pages * PAGE_BYTES
  return {
    clusters,
    pages,
    durableMap: HEADER_BYTES,
    liveMap,
    data: Math.ceil(end / ALIGNMENT) * ALIGNMENT,
  }
}

/** @param identities of the image, one or two of 64 hexadecimal digits */
export function encodeHeader(sizeBytes: number, identities: readonly string[]): Uint8Array {
  assert(identities.length > 0 && identities.length <= MOST_IDENTITIES)
  const bytes = new Uint8Array(HEADER_BYTES)
  Header.encode(
    { magic: MAGIC, version: VERSION, clusterBytes: CLUSTER_BYTES, sizeBytes },
    bytes.subarray(0, Header.size),
  )
  for (const [index, identity] of identities.entries()) {
    const { at, digestAt } = slot(index)
    bytes.set(Buffer.from(identity, 'hex'), at)
    bytes.set(digestBefore(bytes, digestAt), digestAt)
  }
  return bytes
}

export const HEADER_LENGTH = HEADER_BYTES

/** Whether these bytes begin one of our overlays, whole or damaged. */
export function isOurs(header: Uint8Array): boolean {
  return Header.decode(header).magic === MAGIC
}

/**
 * How many identities the header has. Throws `ImageInvalid` about a damaged one, and `SourceRefused`
 * about one that belongs to another image.
 */
export function checkHeader(
  header: Uint8Array,
  sizeBytes: number,
  identities: readonly string[],
  path: string,
): number {
  const where = { path }
  const { version, clusterBytes, sizeBytes: wanted } = Header.decode(header)
  const first = identityIn(header, 0, path)
  if (version !== VERSION || clusterBytes !== CLUSTER_BYTES) {
    throw new ImageInvalid('the overlay was made by another version of netcow', {
      where: { ...where, version },
    })
  }
  const theirs = [first, ...(hasSecond(header) ? [identityIn(header, 1, path)] : [])]
  if (!theirs.some((identity) => identities.includes(identity)) || wanted !== sizeBytes) {
    throw new SourceRefused('the overlay belongs to another image, or to another version of it', {
      where,
      advice:
        'open the image where that version is, such as at another mirror; or, if nothing in the ' +
        'overlay is needed any more, delete the file or run wipefs --all on the disk',
    })
  }
  return theirs.length
}

/** Where an identity is, and the digest behind it. */
function slot(index: number): Record<'at' | 'digestAt' | 'end', number> {
  const at = Header.size + index * 2 * SHA256_BYTES
  return { at, digestAt: at + SHA256_BYTES, end: at + 2 * SHA256_BYTES }
}

function hasSecond(header: Uint8Array): boolean {
  const { at, end } = slot(1)
  return header.subarray(at, end).some((byte) => byte !== 0)
}

function identityIn(header: Uint8Array, index: number, path: string): string {
  const { at, digestAt, end } = slot(index)
  if (!digestBefore(header, digestAt).equals(header.subarray(digestAt, end))) {
    throw new ImageInvalid('the header of the overlay is damaged', { where: { path } })
  }
  return Buffer.from(header.subarray(at, digestAt)).toString('hex')
}

function digestBefore(header: Uint8Array, at: number): Buffer {
  return createHash('sha256').update(header.subarray(0, at)).digest()
}
