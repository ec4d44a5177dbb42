import { ImageInvalid, ImageUnsupported, UsageError } from '../../errors.ts'
import type { FeatureName } from './extensions.ts'
import type { Header } from './header.ts'

/** Specification, section "Header": incompatible_features, by bit. */
export const INCOMPATIBLE = [
  'dirty bit',
  'corrupt bit',
  'external data file',
  'compression type',
  'extended L2 entries',
] as const
export const COMPATIBLE = ['lazy refcounts'] as const
export const AUTOCLEAR = ['bitmaps', 'raw external data'] as const

/** The feature bits of a header as a record of what they mean. */
export interface Features {
  readonly dirty: boolean
  readonly corrupt: boolean
  readonly dataFile: boolean
  readonly extendedL2: boolean
  readonly lazyRefcounts: boolean
  readonly bitmaps: boolean
  readonly dataFileRaw: boolean
}

export function featuresOf(header: Header): Features {
  const has = (mask: bigint, bit: bigint) => (mask & (1n << bit)) !== 0n
  return {
    dirty: has(header.incompatible_features, 0n),
    corrupt: has(header.incompatible_features, 1n),
    dataFile: has(header.incompatible_features, 2n),
    extendedL2: has(header.incompatible_features, 4n),
    lazyRefcounts: has(header.compatible_features, 0n),
    bitmaps: has(header.autoclear_features, 0n),
    dataFileRaw: has(header.autoclear_features, 1n),
  }
}

/** The names of the bits set in `mask`, from our own list or else from the image's table. */
export function bitNames(
  mask: bigint,
  known: readonly string[],
  named: readonly FeatureName[],
  type: FeatureName['type'],
): string[] {
  const names: string[] = []
  for (let bit = 0; bit < 64; bit++) {
    if ((mask & (1n << BigInt(bit))) === 0n) continue
    const own = named.find((feature) => feature.type === type && feature.bit === bit)?.name
    names.push(known[bit] ?? (own ? `${own} (bit ${bit})` : `bit ${bit}`))
  }
  return names
}

/** Refuses by name the incompatible features that no one here knows, as the specification asks. */
export function refuseUnknownFeatures(header: Header, named: readonly FeatureName[]): void {
  const unknown =
    (header.incompatible_features >> BigInt(INCOMPATIBLE.length)) << BigInt(INCOMPATIBLE.length)
  if (unknown === 0n) return
  const names = bitNames(unknown, [], named, 'incompatible').join(', ')
  throw new ImageUnsupported(`the image needs features that netcow does not know: ${names}`, {
    where: { offset: 72 },
  })
}

export type Compression = 'zlib' | 'zstd'

/** Specification, section "Additional fields": the bit is set if and only if the type is not 0. */
export function compressionOf(header: Header): Compression {
  const bit = (header.incompatible_features & (1n << 3n)) !== 0n
  const { compression_type } = header
  if (compression_type > 1)
    throw new ImageUnsupported(`compression type ${compression_type}`, {
      where: { offset: 104 },
      advice: 'netcow reads zlib (0) and zstd (1)',
    })
  if (bit !== (compression_type !== 0))
    throw new ImageInvalid('the compression type and its feature bit contradict each other', {
      where: { offset: 104, compression_type, bit: Number(bit) },
    })
  return compression_type === 0 ? 'zlib' : 'zstd'
}

/** The user has named one. */
export function withoutDataFile(): UsageError {
  return new UsageError('the image has no external data file', {
    advice: 'leave --data-file out, or look whether this is the right image',
  })
}
