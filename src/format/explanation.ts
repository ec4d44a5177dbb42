/** How a guest offset is found in the file, one lookup after the other. */
export interface Explanation {
  readonly steps: readonly Step[]
  readonly result:
    /** The byte stands at `offset`, in clear or not, of the image or of its data file. */
    | {
        readonly kind: 'data' | 'encrypted'
        readonly offset: number
        readonly file?: 'data-file'
      }
    /** It is within what these `length` bytes at `offset` unpack to. */
    | { readonly kind: 'packed'; readonly offset: number; readonly length: number }
    /** It reads as zero; this layer does not hold it; it is no byte of this disk. */
    | { readonly kind: 'zero' | 'hole' | 'outside' }
}

/** `what` was looked at, and the numbers found there; `offset` is always one in the file. */
export interface Step {
  readonly what: string
  readonly [name: string]: string | number
}
