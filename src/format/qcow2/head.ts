import type { BlockSource } from '../../block/source.ts'
import { type Extensions, backingFileName, decodeExtensions } from './extensions.ts'
import { type Features, featuresOf } from './features.ts'
import { type Header, readFirstCluster } from './header.ts'

/** Everything that the first cluster tells, whether or not we can read such an image. */
export interface Qcow2Head {
  readonly header: Header
  readonly features: Features
  readonly extensions: Extensions
  readonly backingFile: string | undefined
}

/** Throws `ImageInvalid` or `ImageUnsupported` only for what is not QCOW2 version 2 or 3. */
export async function readHead(source: BlockSource): Promise<Qcow2Head> {
  const { header, firstCluster } = await readFirstCluster(source)
  return {
    header,
    features: featuresOf(header),
    extensions: decodeExtensions(header, firstCluster),
    backingFile: backingFileName(header, firstCluster),
  }
}
