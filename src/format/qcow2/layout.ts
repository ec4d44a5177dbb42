import { ImageInvalid } from '../../errors.ts'
import type { Layout, Mapping } from '../format.ts'
import type { Entries, Run } from './clusters.ts'
import type { ClusterSource } from './crypto/unlock.ts'
import type { PackedClusters } from './packed-clusters.ts'
import type { Tables } from './tables.ts'

/** From guest offset to table to entries to mapping. */
export class Qcow2Layout implements Layout {
  readonly size: number
  readonly #tables: Tables
  readonly #entries: Entries
  readonly #clusters: ClusterSource
  readonly #packed: PackedClusters

  /** `clusters` holds the standard clusters: the image itself or its data file, in clear. */
  constructor(
    size: number,
    tables: Tables,
    entries: Entries,
    clusters: ClusterSource,
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
      return slice.then((slice) => this.#mapping(offset, this.#entries.run(slice, offset, length)))
    return this.#mapping(offset, this.#entries.run(slice, offset, length))
  }

  #mapping(guest: number, run: Run): Mapping {
    switch (run.kind) {
      case 'standard':
        return this.#standard(guest, run.host, run.length)
      case 'compressed':
        return {
          kind: 'packed',
          length: run.length,
          unpack: (target) => this.#unpack(run, target),
          prefetch: () => this.#packed.prefetch(run.packed),
        }
      case 'zero':
        return { kind: 'zero', length: run.length, ...this.#allocated(run.host) }
      case 'unallocated':
        return { kind: 'hole', length: run.length, ...this.#allocated(run.host) }
    }
  }

  #unpack({ packed, within }: Run & { kind: 'compressed' }, target: Uint8Array) {
    return packed.length === 1
      ? this.#packed.readPart(packed[0]!, within, target)
      : this.#packed.readWhole(packed, target)
  }

  #allocated(host: number | undefined): { offset?: number } {
    return host === undefined || this.#clusters.encrypted ? {} : { offset: host }
  }

  /** A file that ends early reads as zeroes from there on. */
  #standard(guest: number, host: number, length: number): Mapping {
    const source = this.#clusters.at(host, guest)
    const held = source.size - host
    if (this.#clusters.encrypted && held < length)
      throw new ImageInvalid('an encrypted cluster is where no file reaches', {
        where: { guest, offset: host },
      })
    if (held <= 0) {
      const last = host + length - 1
      const isMissing = last - (last % this.#tables.clusterBytes) >= source.size
      return { kind: 'zero', length, offset: host, pastEnd: isMissing ? 'before' : 'within' }
    }
    const run = { length: Math.min(length, held), source, offset: host }
    return this.#clusters.encrypted
      ? { kind: 'data', ...run, encrypted: true }
      : { kind: 'data', ...run }
  }
}
