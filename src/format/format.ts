import type { BlockSource } from '../block/source.ts'

/**
 * A format says where bytes are; `Image` (image.ts) holds the one loop that reads them.
 */

/** Where a run of guest bytes lies. Every run is at least one byte long. */
export type Mapping =
  /** The bytes stand as they are in `source`, which ends no earlier than `offset + length`. */
  | {
      readonly kind: 'data'
      readonly length: number
      readonly source: BlockSource
      readonly offset: number
    }
  /** The format says: zeroes. */
  | { readonly kind: 'zero'; readonly length: number }
  /** Nobody in the chain holds it; reads as zeroes. */
  | { readonly kind: 'hole'; readonly length: number }
