import type { BlockSource } from '../../block/source.ts'
import { UsageError } from '../../errors.ts'
import type { Format, Layout } from '../format.ts'

/** What only an image with tables can have. */
export interface RawOptions {
  readonly snapshot?: string
  readonly dataFileNamed?: boolean
}

/** The bytes of the disk, one after the other. */
export const raw: Format<RawOptions> = {
  async open(source, options) {
    refuse(options)
    return { layout: layout(source), sources: source }
  },
  async describe(source) {
    return { 'virtual-size': source.size, format: 'raw', 'dirty-flag': false }
  },
  async check() {
    return undefined
  },
  async explain(source, offset, options) {
    refuse(options)
    const steps = [{ what: 'guest', offset, 'virtual-size': source.size }]
    return { steps, result: offset < source.size ? { kind: 'data', offset } : { kind: 'outside' } }
  },
}

function refuse({ snapshot, dataFileNamed }: RawOptions): void {
  if (snapshot !== undefined)
    throw new UsageError('a raw image has no snapshots', { advice: 'leave --snapshot out' })
  if (dataFileNamed)
    throw new UsageError('a raw image has no external data file', {
      advice: 'leave --data-file out',
    })
}

function layout(source: BlockSource): Layout {
  return {
    size: source.size,
    locate: (offset, length) => ({ kind: 'data', length, source, offset, sparse: true }),
  }
}
