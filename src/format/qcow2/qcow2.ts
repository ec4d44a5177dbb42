import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../errors.ts'
import { type Tell, cutOff } from '../cut-off.ts'
import type { Format } from '../format.ts'
import { checkQcow2 } from './check/check.ts'
import type { ClusterSource, Passphrase } from './crypto/unlock.ts'
import { describeQcow2 } from './describe.ts'
import { entriesOf } from './entries.ts'
import { explainQcow2 } from './explain.ts'
import { compressionOf, refuseUnknownFeatures, withoutDataFile } from './features.ts'
import { geometryOf } from './geometry.ts'
import { type Qcow2Head, readHead } from './head.ts'
import { Qcow2Layout } from './layout.ts'
import { PackedClusters } from './packed-clusters.ts'
import { diskOf } from './snapshots.ts'
import { Tables } from './tables.ts'

/** What is remembered: enough for the L2 tables of 64 GiB, and for 256 clusters of 64 KiB. */
const DEFAULT_TABLE_BYTES = 8 * 2 ** 20
const DEFAULT_DECODED_BYTES = 16 * 2 ** 20

/**
 * Opens the other files that an image names. A name is data: what it means, and whether it may be
 * opened at all, is for the implementation to say. `undefined` is a no.
 */
export interface Opener {
  /** The image that shows through the holes, in clear; `format` is what the image says of it. */
  backing(name: string, format: string | undefined): Promise<BlockSource | undefined>
  /** The file that holds the clusters; the image need not say its name. */
  dataFile(name: string | undefined): Promise<BlockSource | undefined>
}

export interface Qcow2Options {
  /** Limit of the cache of decompressed clusters in bytes; one cluster always stays. */
  readonly decodedBytes?: number
  /** Limit of the cache of L2 tables in bytes; one slice always stays. */
  readonly tableBytes?: number
  /** The id or the name of an internal snapshot to read instead of the active disk. */
  readonly snapshot?: string
  /** Without it, an image that names other files is refused. */
  readonly opener?: Opener
  /** The user says where the external data file is: one that has none is not the image that is meant. */
  readonly dataFileNamed?: boolean
  /** Opens an encrypted image; not asked of any other. */
  readonly passphrase?: Passphrase
  /** The only key slot of LUKS that is tried; without it, all that are in use. */
  readonly keySlot?: number
  /** Reads an image that is marked as corrupt. */
  readonly allowCorrupt?: boolean
  /** Called once, if at all: at open or by a later read. */
  readonly tell?: Tell
}

export const qcow2: Format<Qcow2Options> = {
  async open(source, options) {
    await using opened = new AsyncDisposableStack()
    const head = await readHead(source)
    const { header, features } = head
    refuse(head, options)
    const geometry = geometryOf(header)
    const clusters = features.dataFile ? opened.use(await dataFile(head, options)) : source
    const { tableBytes = DEFAULT_TABLE_BYTES } = options
    const place = await inClear(source, clusters, head, options)
    const { l1, size } = await diskOf(source, header, options.snapshot)
    const tables = await Tables.open(source, geometry, l1, size, tableBytes)
    const missing = tables.missing()
    if (missing !== undefined) options.tell?.(cutOff(missing))
    const { clusterBytes } = geometry
    const { decodedBytes = DEFAULT_DECODED_BYTES } = options
    const packed = new PackedClusters(source, compressionOf(header), clusterBytes, decodedBytes)
    const layout = new Qcow2Layout(size, tables, entriesOf(head, geometry), place, packed)
    const below = head.backingFile === undefined ? undefined : await backing(head, options)
    if (below) opened.use(below)
    opened.use(source)
    return { layout, sources: opened.move(), ...(below && { below }) }
  },
  describe: describeQcow2,
  check: checkQcow2,
  explain: explainQcow2,
}

/** What is not read is refused by name, before anything depends on it. */
function refuse({ header, features, extensions }: Qcow2Head, options: Qcow2Options): void {
  refuseUnknownFeatures(header, extensions.features)
  compressionOf(header)
  if (features.corrupt && !options.allowCorrupt)
    throw new ImageUnsupported('the image is marked as corrupt', {
      where: { offset: 72 },
      advice: 'repair it with qemu-img check -r all, or read it as it is with --allow-corrupt',
    })
  if (features.dataFileRaw && !features.dataFile)
    throw new ImageInvalid('the image says its data file is raw, but has no data file', {
      where: { offset: 88 },
    })
  if (options.dataFileNamed && !features.dataFile) throw withoutDataFile()
}

/** What deciphers is loaded only for images that are encrypted: OpenSSL takes its time. */
async function inClear(
  source: BlockSource,
  clusters: BlockSource,
  { header, extensions }: Qcow2Head,
  options: Qcow2Options,
): Promise<ClusterSource> {
  if (header.crypt_method === 0) return { encrypted: false, at: () => clusters }
  const { unlock } = await import('./crypto/unlock.ts')
  return unlock(source, clusters, header, extensions, options)
}

async function dataFile({ extensions }: Qcow2Head, options: Qcow2Options): Promise<BlockSource> {
  const name = extensions.dataFile
  const opened = await options.opener?.dataFile(name)
  if (opened) return opened
  const called = name === undefined ? '' : `, ${JSON.stringify(name)}`
  throw new ImageUnsupported(`the clusters of the image are in an external data file${called}`, {
    where: { offset: 72 },
    advice: 'say where it is with --data-file',
  })
}

async function backing(
  { backingFile = '', extensions }: Qcow2Head,
  options: Qcow2Options,
): Promise<BlockSource> {
  const opened = await options.opener?.backing(backingFile, extensions.backingFormat)
  if (opened) return opened
  throw new ImageUnsupported(`the image needs its backing file, ${JSON.stringify(backingFile)}`, {
    where: { offset: 8 },
    advice: 'allow it with --backing',
  })
}
