import type { Read } from '../../qemu-harness/boot-trace.ts'
import { FileSource } from '../../src/block/file.ts'
import { entriesOf } from '../../src/format/qcow2/entries.ts'
import { geometryOf } from '../../src/format/qcow2/geometry.ts'
import { readHead } from '../../src/format/qcow2/head.ts'
import { Tables } from '../../src/format/qcow2/tables.ts'

const TABLE_BYTES = 64 * 2 ** 20

/** What the clusters that are read in part or whole take in the file: nobody can fetch less. */
export async function touchedBytes(path: string, reads: readonly Read[]): Promise<number> {
  await using source = await FileSource.open(path)
  const head = await readHead(source)
  const { header } = head
  const geometry = geometryOf(header)
  const l1 = { offset: header.l1_table_offset, count: header.l1_size }
  const tables = await Tables.open(source, geometry, l1, header.size, TABLE_BYTES)
  const entries = entriesOf(head, geometry)
  const { clusterBytes } = geometry
  const touched = new Map<number, number>()
  for (const { offset, length } of reads) {
    const first = Math.floor(offset / clusterBytes)
    for (let cluster = first; cluster * clusterBytes < offset + length; cluster++) {
      const slice = await tables.slice(cluster * clusterBytes)
      if (slice === undefined) continue
      const run = entries.run(slice, cluster * clusterBytes, clusterBytes)
      if (run.kind === 'standard') touched.set(cluster, clusterBytes)
      if (run.kind === 'compressed') touched.set(cluster, run.packed[0]?.length ?? 0)
    }
  }
  return [...touched.values()].reduce((sum, bytes) => sum + bytes, 0)
}
