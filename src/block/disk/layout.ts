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
const IDENTITY_BYTES = 32
const CHECKED_BYTES = Header.size + IDENTITY_BYTES

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

/** @param identity of the image, 64 hexadecimal digits */
export function encodeHeader(sizeBytes: number, identity: string): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  Header.encode(
    { magic: MAGIC, version: VERSION, clusterBytes: CLUSTER_BYTES, sizeBytes },
    bytes.subarray(0, Header.size),
  )
  bytes.set(Buffer.from(identity, 'hex'), Header.size)
  bytes.set(digestOf(bytes), CHECKED_BYTES)
  return bytes
}

export const HEADER_LENGTH = HEADER_BYTES

/** Whether these bytes begin one of our overlays, whole or damaged. */
export function isOurs(header: Uint8Array): boolean {
  return Header.decode(header).magic === MAGIC
}

/**
 * Throws `ImageInvalid` about a damaged header, and `SourceRefused` about one that belongs to
 * another image.
 */
export function checkHeader(
  header: Uint8Array,
  sizeBytes: number,
  identity: string,
  path: string,
): void {
  const where = { path }
  const { version, clusterBytes, sizeBytes: wanted } = Header.decode(header)
  if (!Buffer.from(header.subarray(CHECKED_BYTES, CHECKED_BYTES + 32)).equals(digestOf(header))) {
    throw new ImageInvalid('the header of the overlay is damaged', { where })
  }
  if (version !== VERSION || clusterBytes !== CLUSTER_BYTES) {
    throw new ImageInvalid('the overlay was made by another version of netcow', {
      where: { ...where, version },
    })
  }
  const theirs = Buffer.from(header.subarray(Header.size, CHECKED_BYTES)).toString('hex')
  if (theirs !== identity || wanted !== sizeBytes) {
    throw new SourceRefused('the overlay belongs to another image, or to another version of it', {
      where,
      advice:
        'if nothing in it is needed any more, delete the file or run wipefs --all on the disk',
    })
  }
}

function digestOf(header: Uint8Array): Buffer {
  return createHash('sha256').update(header.subarray(0, CHECKED_BYTES)).digest()
}
