import type { BlockSource } from '../../block/source.ts'
import type { Layout, Mapping } from '../format.ts'
import type { Entries, Run } from './clusters.ts'
import type { PackedClusters } from './packed-clusters.ts'
import type { Tables } from './tables.ts'

/** From guest offset to table to entries to mapping. */
export class Qcow2Layout implements Layout {
  readonly size: number
  readonly #tables: Tables
  readonly #entries: Entries
  readonly #clusters: BlockSource
  readonly #packed: PackedClusters

  /** `clusters` holds the standard clusters: the image itself, or its external data file. */
  constructor(
    size: number,
    tables: Tables,
    entries: Entries,
    clusters: BlockSource,
    packed: PackedClusters,
  ) {
    this.size = size
    this.#tables = tables
    this.#entries = entries
    this.#clusters = clusters
    this.#packed = packed
  }

  locate(offset: number, length: number): Mapping | Promise<Mapping> {
    const slice = this.#tables.slice(offset)
    if (slice === undefined)
      return { kind: 'hole', length: this.#tables.undescribed(offset, length) }
    if (slice instanceof Promise)
      return slice.then((slice) => this.#mapping(this.#entries.run(slice, offset, length)))
    return this.#mapping(this.#entries.run(slice, offset, length))
  }

  #mapping(run: Run): Mapping {
    switch (run.kind) {
      case 'standard':
        return this.#standard(run.host, run.length)
      case 'compressed':
        return {
          kind: 'packed',
          length: run.length,
          offset: run.within,
          unpack: () => this.#packed.cluster(run.host, run.packedLength),
        }
      case 'zero':
        return { kind: 'zero', length: run.length }
      case 'unallocated':
        return { kind: 'hole', length: run.length }
    }
  }

  /** A file that ends early reads as zeroes from there on. */
  #standard(host: number, length: number): Mapping {
    const held = this.#clusters.size - host
    if (held <= 0) return { kind: 'zero', length }
    return {
      kind: 'data',
      length: Math.min(length, held),
      source: this.#clusters,
      offset: host,
    }
  }
}
