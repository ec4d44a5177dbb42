import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import type { Format, Layout } from '../format.ts'

export interface RawOptions {
  /** Where the disk begins in the source, in bytes; 0 unless said. */
  readonly offset?: number
  /** The size of the disk in bytes; the rest of the source unless said. */
  readonly sizeLimit?: number
}

/** The bytes of the disk, one after the other, possibly inside of something larger. */
export const raw: Format<RawOptions> = {
  async open(source, { offset = 0, sizeLimit }) {
    const size = sizeLimit ?? source.size - offset
    if (offset > source.size || size < 0 || offset + size > source.size)
      throw new ImageInvalid('the raw disk does not lie within its source', {
        where: { offset, length: Math.max(0, size), size: source.size },
        advice: 'check --offset and --sizelimit',
      })
    return { layout: layout(source, offset, size), sources: [source] }
  },
}

function layout(source: BlockSource, start: number, size: number): Layout {
  return {
    size,
    locate: (offset, length) => ({ kind: 'data', length, source, offset: start + offset }),
  }
}
