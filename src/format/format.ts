import type { BlockSource, Completion } from '../block/source.ts'
import type { CheckOptions, CheckReport } from './check-report.ts'
import type { Description } from './description.ts'
import type { Explanation } from './explanation.ts'

/**
 * A format says where bytes are; `Image` (image.ts) holds the one loop that reads them.
 * Each driver is a folder that exports one `Format`, and one line in registry.ts.
 */

/** Where a run of guest bytes lies. Every run is at least one byte long. */
export type Mapping =
  /** The bytes stand as they are in `source`, which ends no earlier than `offset + length`. */
  | {
      readonly kind: 'data'
      readonly length: number
      readonly source: BlockSource
      readonly offset: number
      /** What stands in the file is not yet the bytes: `source` deciphers it. */
      readonly encrypted?: true
      /** `source` may know of zeroes in what it has; tables would have told of them. */
      readonly sparse?: true
    }
  /** The bytes must be computed: `unpack` fills a target of `length` bytes, at once if it can. */
  | {
      readonly kind: 'packed'
      readonly length: number
      unpack(target: Uint8Array): Completion
      /** Tells whatever holds the packed bytes that they will be wanted. */
      prefetch(): void
    }
  /** The format says: zeroes, whatever stands at the `offset` that may be allocated for them. */
  | {
      readonly kind: 'zero'
      readonly length: number
      readonly offset?: number
      /** It says data, but the file ends before that: within this cluster, as QEMU may leave it, or before. */
      readonly pastEnd?: 'within' | 'before'
    }
  /** This layer does not hold them; the one below shows through, or zeroes where there is none. */
  | { readonly kind: 'hole'; readonly length: number; readonly offset?: number }

/** Where the bytes of one open image are. */
export interface Layout {
  /** The virtual size in bytes; it may be no multiple of anything. */
  readonly size: number
  /**
   * Describes the run that begins at `offset`, at most `length` bytes of it. The answer comes at
   * once when the tables it needs are in memory: a promise per read is what makes servers slow.
   * Throws or rejects with `ImageInvalid` where the tables contradict the specification.
   */
  locate(offset: number, length: number): Mapping | Promise<Mapping>
}

/** What a driver gives back from `open`. */
export interface OpenFormat {
  readonly layout: Layout
  /** The image that shows through the holes. */
  readonly below?: BlockSource
  /** Everything that the image reads from, `below` included; the image takes it over. */
  readonly sources: AsyncDisposable
}

export interface Format<Options> {
  open(source: BlockSource, options: Options): Promise<OpenFormat>
  /** Describes also what `open` refuses, as far as it is this format at all. */
  describe(source: BlockSource): Promise<Description>
  /** Verifies what the format lets a reader verify; `undefined` where there is nothing. */
  check(source: BlockSource, options: CheckOptions): Promise<CheckReport | undefined>
  /** Follows one guest offset to its place in the file. */
  explain(source: BlockSource, offset: number, options: Options): Promise<Explanation>
}
