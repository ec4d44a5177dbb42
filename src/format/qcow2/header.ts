import { number64, struct, u32, u64, u8 } from '../../binary/struct.ts'
import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../errors.ts'
import { readClamped } from '../clamped.ts'
import { recognise } from '../recognise.ts'

/** QCOW2 specification, section "Header". */
const HeaderRecord = struct({
  magic: u32,
  version: u32,
  backing_file_offset: number64,
  backing_file_size: u32,
  cluster_bits: u32,
  size: number64,
  crypt_method: u32,
  l1_size: u32,
  l1_table_offset: number64,
  refcount_table_offset: number64,
  refcount_table_clusters: u32,
  nb_snapshots: u32,
  snapshots_offset: number64,
  incompatible_features: u64,
  compatible_features: u64,
  autoclear_features: u64,
  refcount_order: u32,
  header_length: u32,
  compression_type: u8,
})
/** The fields of the header in the words of the specification, checked by `readHeader`. */
export type Header = ReturnType<(typeof HeaderRecord)['decode']>

const MAGIC = 0x514649fb
const VERSION_2_BYTES = 72
const VERSION_3_BYTES = 104
/** The first read: it holds the header and its extensions in every image met so far. */
const FIRST_READ_BYTES = 64 * 1024
/** The sizes that QEMU accepts; they bound what a header can make us allocate. */
const CLUSTER_BITS = { least: 9, most: 21 }
/** With subclusters, which are no smaller than a sector either. */
const EXTENDED_CLUSTER_BITS = 14
const REFCOUNT_TABLE_BYTES = 8 * 2 ** 20
const L1_TABLE_BYTES = 32 * 2 ** 20
const SNAPSHOTS = 65_536
const SNAPSHOT_HEADER_BYTES = 40
const BACKING_FILE_SIZE = 1023

/** Reads the first cluster, which holds the header and everything it refers to by length. */
export async function readFirstCluster(
  source: BlockSource,
): Promise<{ header: Header; firstCluster: Uint8Array }> {
  const head = await readClamped(source, 0, Math.min(source.size, FIRST_READ_BYTES))
  const header = decodeHeader(head)
  const clusterBytes = 2 ** header.cluster_bits
  const firstCluster =
    clusterBytes <= head.length
      ? head.subarray(0, clusterBytes)
      : await readClamped(source, 0, clusterBytes)
  return { header, firstCluster }
}

/** Decodes and checks the header, whatever features it asks for. */
function decodeHeader(head: Uint8Array): Header {
  checkMagic(head)
  const padded = new Uint8Array(HeaderRecord.size)
  padded.set(head.subarray(0, HeaderRecord.size))
  const header = completed(HeaderRecord.decode(padded))
  checkRanges(header)
  checkTables(header)
  checkSize(header)
  return header
}

function checkMagic(head: Uint8Array): void {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length < VERSION_2_BYTES || view.getUint32(0) !== MAGIC) {
    const { name, raw } = recognise(head)
    const advice = raw ? 'give --format raw if that is what it is' : 'check the address'
    throw new ImageInvalid(`not a QCOW2 image: this is ${name}`, { where: { offset: 0 }, advice })
  }
  const version = view.getUint32(4)
  if (version === 1)
    throw new ImageUnsupported('a QCOW version 1 image, which is another format', {
      where: { offset: 4 },
      advice: 'convert it: qemu-img convert -f qcow -O qcow2',
    })
  if (version !== 2 && version !== 3)
    throw new ImageUnsupported(`QCOW2 version ${version}`, {
      where: { offset: 4 },
      advice: 'netcow reads versions 2 and 3',
    })
}

/** Fields that this version or this length of the header does not have hold their defaults. */
function completed(header: Header): Header {
  if (header.version === 2)
    return {
      ...header,
      incompatible_features: 0n,
      compatible_features: 0n,
      autoclear_features: 0n,
      refcount_order: 4,
      header_length: VERSION_2_BYTES,
      compression_type: 0,
    }
  return header.header_length > VERSION_3_BYTES ? header : { ...header, compression_type: 0 }
}

function checkRanges(header: Header): void {
  const { cluster_bits, header_length, backing_file_offset, backing_file_size } = header
  if (cluster_bits < CLUSTER_BITS.least || cluster_bits > CLUSTER_BITS.most)
    fail('cluster_bits is out of range', { offset: 20, cluster_bits, ...CLUSTER_BITS })
  if (l2EntryBytes(header) > 8 && cluster_bits < EXTENDED_CLUSTER_BITS)
    fail('its clusters are too small for extended L2 entries', {
      offset: 20,
      cluster_bits,
      least: EXTENDED_CLUSTER_BITS,
    })
  const clusterBytes = 2 ** cluster_bits
  if (header.version > 2 && header_length < VERSION_3_BYTES)
    fail('the header is too short', { offset: 100, header_length, least: VERSION_3_BYTES })
  if (header_length > clusterBytes)
    fail('the header is longer than a cluster', { offset: 100, header_length, clusterBytes })
  if (header.refcount_order > 6)
    fail('refcount_order is out of range', { offset: 96, refcount_order: header.refcount_order })
  if (backing_file_offset > clusterBytes)
    fail('the name of the backing file is outside of the first cluster', {
      offset: 8,
      backing_file_offset,
      clusterBytes,
    })
  const room = Math.min(BACKING_FILE_SIZE, clusterBytes - backing_file_offset)
  if (backing_file_offset !== 0 && backing_file_size > room)
    fail('the name of the backing file is too long', { offset: 16, backing_file_size, most: room })
}

function checkTables(header: Header): void {
  const tables = [
    {
      name: 'refcount table',
      field: 48,
      offset: header.refcount_table_offset,
      length: header.refcount_table_clusters * 2 ** header.cluster_bits,
      most: REFCOUNT_TABLE_BYTES,
    },
    {
      name: 'snapshot table',
      field: 64,
      offset: header.snapshots_offset,
      length: header.nb_snapshots * SNAPSHOT_HEADER_BYTES,
      most: SNAPSHOTS * SNAPSHOT_HEADER_BYTES,
    },
    {
      name: 'L1 table',
      field: 40,
      offset: header.l1_table_offset,
      length: header.l1_size * 8,
      most: L1_TABLE_BYTES,
    },
  ]
  if (header.refcount_table_clusters === 0)
    fail('there is no refcount table', { offset: 56, refcount_table_clusters: 0 })
  for (const { name, field, offset, length, most } of tables) {
    if (length > most) fail(`the ${name} is too large`, { offset: field, length, most })
    if (!Number.isSafeInteger(offset) || offset % 2 ** header.cluster_bits !== 0)
      fail(`the ${name} does not begin at a cluster`, { offset: field, at: offset })
  }
}

function checkSize(header: Header): void {
  const { size, l1_size } = header
  if (!Number.isSafeInteger(size))
    throw new ImageUnsupported('a virtual disk of 8 PiB or more', { where: { offset: 24, size } })
  const needed = Math.ceil(size / bytesPerTable(header))
  if (l1_size < needed)
    fail('the L1 table is too small for the virtual disk', { offset: 36, l1_size, needed })
}

/** How many bytes of the virtual disk one L2 table describes. */
export function bytesPerTable(header: Header): number {
  const clusterBytes = 2 ** header.cluster_bits
  return (clusterBytes / l2EntryBytes(header)) * clusterBytes
}

/** Specification, section "Extended L2 Entries": 128 bits instead of 64. */
export function l2EntryBytes(header: Header): 8 | 16 {
  return (header.incompatible_features & (1n << 4n)) === 0n ? 8 : 16
}

function fail(what: string, where: Record<string, number>): never {
  throw new ImageInvalid(`not a sound QCOW2 image: ${what}`, { where })
}
