import type { BlockSource } from '../../block/source.ts'
import { ImageUnsupported } from '../../errors.ts'
import type {
  Described,
  Description,
  HeaderDescription,
  SnapshotDescription,
} from '../description.ts'
import { readBitmaps } from './bitmaps.ts'
import { type LuksHeader, luksPlace, readLuksHeader } from './crypto/luks-header.ts'
import { AUTOCLEAR, COMPATIBLE, INCOMPATIBLE, bitNames } from './features.ts'
import { type Qcow2Head, readHead } from './head.ts'
import { type Snapshot, readSnapshots } from './snapshots.ts'

/** Reads the header and the small tables behind it, whatever the image needs to be opened. */
export async function describeQcow2(source: BlockSource): Promise<Description> {
  const head = await readHead(source)
  const { header, extensions, features, backingFile } = head
  const snapshots = await readSnapshots(source, header)
  return {
    'virtual-size': header.size,
    'cluster-size': 2 ** header.cluster_bits,
    format: 'qcow2',
    'format-specific': { type: 'qcow2', data: await specific(source, head) },
    ...(header.crypt_method !== 0 && { encrypted: true }),
    ...(backingFile !== undefined && { 'backing-filename': backingFile }),
    ...(backingFile !== undefined &&
      extensions.backingFormat && { 'backing-filename-format': extensions.backingFormat }),
    ...(snapshots.length > 0 && { snapshots: snapshots.map(describeSnapshot) }),
    'dirty-flag': features.dirty,
    header: describeHeader(head),
  }
}

async function specific(source: BlockSource, head: Qcow2Head): Promise<Record<string, Described>> {
  const { header, features, extensions } = head
  const bitmaps =
    features.bitmaps && extensions.bitmaps ? await readBitmaps(source, extensions.bitmaps) : []
  const data: Record<string, Described> = {
    compat: header.version === 2 ? '0.10' : '1.1',
    'compression-type': ['zlib', 'zstd'][header.compression_type] ?? `${header.compression_type}`,
    'refcount-bits': 2 ** header.refcount_order,
  }
  if (header.crypt_method !== 0) data['encrypt'] = await describeEncryption(source, head)
  if (header.version === 2) return data
  return {
    ...data,
    'lazy-refcounts': features.lazyRefcounts,
    corrupt: features.corrupt,
    'extended-l2': features.extendedL2,
    ...(bitmaps.length > 0 && {
      bitmaps: bitmaps.map(({ name, granularityBytes, flags }) => ({
        flags,
        name,
        granularity: granularityBytes,
      })),
    }),
    ...(extensions.dataFile !== undefined && { 'data-file': extensions.dataFile }),
    ...(features.dataFile && { 'data-file-raw': features.dataFileRaw }),
  }
}

async function describeEncryption(
  source: BlockSource,
  { header, extensions }: Qcow2Head,
): Promise<Described> {
  if (header.crypt_method === 1) return { format: 'aes' }
  if (header.crypt_method !== 2) return { format: `${header.crypt_method}` }
  try {
    return describeLuks(await readLuksHeader(source, luksPlace(header, extensions)))
  } catch (error) {
    if (error instanceof ImageUnsupported) return { format: 'luks' }
    throw error
  }
}

function describeLuks(luks: LuksHeader): Described {
  const [chaining = '', generator = '', hash] = luks.mode.split(/[-:]/)
  const cipherBits = luks.keyBytes * (chaining === 'xts' ? 4 : 8)
  return {
    format: 'luks',
    'cipher-alg': `${luks.cipher}-${cipherBits}`,
    'cipher-mode': chaining,
    'ivgen-alg': generator,
    ...(hash !== undefined && { 'ivgen-hash-alg': hash }),
    // Said since QEMU 9.0; inside of QCOW2 it is never anything else.
    'detached-header': false,
    'hash-alg': luks.hash,
    'payload-offset': luks.payloadOffset,
    'master-key-iters': luks.digestIterations,
    uuid: luks.uuid,
    slots: luks.slots.map(({ active, iterations, stripes, keyOffset }) => ({
      active,
      ...(active && { iters: iterations, stripes }),
      'key-offset': keyOffset,
    })),
  }
}

function describeSnapshot(snapshot: Snapshot): SnapshotDescription {
  const { id, name, vmClockNanoseconds, icount } = snapshot
  return {
    id,
    name,
    'vm-state-size': snapshot.vmStateBytes,
    'date-sec': snapshot.dateSeconds,
    'date-nsec': snapshot.dateNanoseconds,
    'vm-clock-sec': Math.floor(vmClockNanoseconds / 1e9),
    'vm-clock-nsec': vmClockNanoseconds % 1e9,
    ...(icount !== undefined && { icount }),
    'disk-size': snapshot.diskBytes,
  }
}

function describeHeader({ header, extensions }: Qcow2Head): HeaderDescription {
  const named = extensions.features
  const { incompatible_features, compatible_features, autoclear_features } = header
  return {
    fields: Object.fromEntries(Object.entries(header).map(([key, value]) => [key, Number(value)])),
    features: {
      incompatible: bitNames(incompatible_features, INCOMPATIBLE, named, 'incompatible'),
      compatible: bitNames(compatible_features, COMPATIBLE, named, 'compatible'),
      autoclear: bitNames(autoclear_features, AUTOCLEAR, named, 'autoclear'),
    },
    extensions: extensions.all,
  }
}
