import type { FormatName } from './format/registry.ts'
import type { HttpOptions } from './http/options.ts'
import type { ImageName } from './image-name.ts'

/** What is wanted of the layers, as plain values: cli/ makes plans, stack.ts carries them out. */

export type { HttpOptions }

export interface SourcePlan {
  readonly image: ImageName
  /** Where in the file the image lies, in bytes. */
  readonly offset: number
  readonly sizeLimit?: number
  readonly http: HttpOptions
  /** Limit of what is kept of the image in RAM, packed and unpacked together. */
  readonly cacheBytes: number
  /** How long an absent source is waited for while the image is opened; Infinity for ever. */
  readonly openMs: number
}

export interface ImagePlan extends SourcePlan {
  readonly format: FormatName
  /** The id or name of an internal snapshot to read in place of the disk as it is now. */
  readonly snapshot?: string
  /** What may be opened below this image, level by level. */
  readonly backing: readonly Permission[]
  /** Where the clusters are, for an image that keeps them in another file. */
  readonly dataFile?: ImageName
  /** Opens encrypted images: asked with the name of one, and how many were refused for it. */
  readonly passphrase?: (image: string, refused: number) => Promise<Uint8Array | undefined>
  /** The only key slot of an encrypted image that is tried. */
  readonly keySlot?: number
  /** Reads an image that is marked as corrupt. */
  readonly allowCorrupt: boolean
}

/** Leave for one more file: this one, whatever the image calls it, or what lies beside the image. */
export type Permission =
  | { readonly kind: 'image'; readonly image: ImageName }
  /** Counts for all levels below, too. */
  | { readonly kind: 'same-origin' }

/** Where writes go. */
export type OverlayPlan =
  | { readonly kind: 'memory'; readonly limitBytes: number }
  | {
      readonly kind: 'disk'
      /** A file, made if it is missing, or a block device. */
      readonly path: string
      /** Another one after each start of the machine. */
      readonly bootId: Uint8Array
      /** Whether a block device may be written over as a whole, because there is nothing on it. */
      readonly isEmpty: () => Promise<boolean>
    }

export interface DevicePlan extends ImagePlan {
  readonly overlay: { readonly kind: 'none' } | OverlayPlan
  /** A RAM device is written to unless this says no. */
  readonly readOnly: boolean
  /** The size is rounded up to this many bytes: 512 or 4096. */
  readonly sectorBytes: number
  /** What a write gets that finds the overlay full: an error, or room later. */
  readonly whenFull: 'fail' | 'wait'
}
