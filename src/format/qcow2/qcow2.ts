import type { BlockSource } from '../../block/source.ts'
import { ImageUnsupported } from '../../errors.ts'
import type { Format } from '../format.ts'
import { Clusters } from './clusters.ts'
import { type Extensions, backingFileName, decodeExtensions } from './extensions.ts'
import { type Features, compressionOf, featuresOf, refuseUnknownFeatures } from './features.ts'
import { geometryOf } from './geometry.ts'
import { type Header, readFirstCluster } from './header.ts'
import { Qcow2Layout } from './layout.ts'
import { PackedClusters } from './packed-clusters.ts'
import { Tables } from './tables.ts'

/** What is remembered: enough for the L2 tables of 64 GiB, and for 256 clusters of 64 KiB. */
export const DEFAULT_TABLE_BYTES = 8 * 2 ** 20
export const DEFAULT_DECODED_BYTES = 16 * 2 ** 20

export interface Qcow2Options {
  /** Limit of the cache of decompressed clusters in bytes; one cluster always stays. */
  readonly decodedBytes?: number
  /** Limit of the cache of L2 tables in bytes. */
  readonly tableBytes?: number
}

/** Everything that the first cluster tells. */
export interface Qcow2Head {
  readonly header: Header
  readonly features: Features
  readonly extensions: Extensions
  readonly backingFile: string | undefined
}

export async function readHead(source: BlockSource): Promise<Qcow2Head> {
  const { header, firstCluster } = await readFirstCluster(source)
  return {
    header,
    features: featuresOf(header),
    extensions: decodeExtensions(header, firstCluster),
    backingFile: backingFileName(header, firstCluster),
  }
}

export const qcow2: Format<Qcow2Options> = {
  async open(source, options) {
    const head = await readHead(source)
    refuse(head)
    const { header, features } = head
    const geometry = geometryOf(header)
    const place = { offset: header.l1_table_offset, count: header.l1_size }
    const { tableBytes = DEFAULT_TABLE_BYTES, decodedBytes = DEFAULT_DECODED_BYTES } = options
    const tables = await Tables.open(source, geometry, place, header.size, tableBytes)
    const entries = new Clusters(geometry, header.version, features.dataFile)
    const packed = new PackedClusters(
      source,
      compressionOf(header),
      geometry.clusterBytes,
      decodedBytes,
    )
    return {
      layout: new Qcow2Layout(header.size, tables, entries, source, packed),
      sources: [source],
    }
  },
}

/** What is not read is refused by name, before anything depends on it. */
function refuse({ header, features, extensions, backingFile }: Qcow2Head): void {
  refuseUnknownFeatures(header, extensions.features)
  compressionOf(header)
  const unsupported = (what: string, offset: number, advice?: string): never => {
    throw new ImageUnsupported(what, { where: { offset }, ...(advice && { advice }) })
  }
  if (features.corrupt)
    unsupported('the image is marked corrupt', 72, 'repair it: qemu-img check -r all')
  if (features.extendedL2) unsupported('extended L2 entries', 72)
  if (features.dataFile) unsupported('an external data file', 72)
  if (header.crypt_method !== 0) unsupported(`encryption method ${header.crypt_method}`, 32)
  if (backingFile !== undefined)
    unsupported(`a backing file, ${JSON.stringify(backingFile)}`, 8, 'allow it with --backing')
}
