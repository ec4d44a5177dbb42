import type { BlockSource } from '../../block/source.ts'
import type { Format, Layout } from '../format.ts'

/** The bytes of the disk, one after the other. */
export const raw: Format<unknown> = {
  async open(source) {
    return { layout: layout(source), sources: source }
  },
  async describe(source) {
    return { 'virtual-size': source.size, format: 'raw', 'dirty-flag': false }
  },
  async check() {
    return undefined
  },
  async explain(source, offset) {
    const steps = [{ what: 'guest', offset, 'virtual-size': source.size }]
    return { steps, result: offset < source.size ? { kind: 'data', offset } : { kind: 'outside' } }
  },
}

function layout(source: BlockSource): Layout {
  return {
    size: source.size,
    locate: (offset, length) => ({ kind: 'data', length, source, offset, sparse: true }),
  }
}
