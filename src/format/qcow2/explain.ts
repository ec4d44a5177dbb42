import type { BlockSource } from '../../block/source.ts'
import { readClamped } from '../clamped.ts'
import type { Explanation, Step } from '../explanation.ts'
import type { Run } from './clusters.ts'
import { hostOffset } from './descriptor.ts'
import { type Geometry, geometryOf } from './geometry.ts'
import { refuseUnknownFeatures, withoutDataFile } from './features.ts'
import { type Qcow2Head, readHead } from './head.ts'
import { entriesOf } from './entries.ts'
import { diskOf } from './snapshots.ts'
import type { L1Place } from './tables.ts'

/** Follows one guest offset through the tables, reading only the entries on its way. */
export async function explainQcow2(
  source: BlockSource,
  offset: number,
  { snapshot, dataFileNamed }: { readonly snapshot?: string; readonly dataFileNamed?: boolean },
): Promise<Explanation> {
  const head = await readHead(source)
  refuseUnknownFeatures(head.header, head.extensions.features)
  if (dataFileNamed && !head.features.dataFile) throw withoutDataFile()
  const geometry = geometryOf(head.header)
  const { l1, size } = await diskOf(source, head.header, snapshot)
  const { clusterBytes } = geometry
  const steps: Step[] = [
    {
      what: 'guest',
      offset,
      'virtual-size': size,
      cluster: Math.floor(offset / clusterBytes),
      'within-cluster': offset % clusterBytes,
    },
  ]
  if (offset >= size) return { steps, result: { kind: 'outside' } }
  const table = await l1Step(source, geometry, l1, offset, steps)
  if (table === 0) return { steps, result: { kind: 'hole' } }
  const { slice, first } = await l2Step(source, geometry, table, offset, steps)
  const run = entriesOf(head, geometry).run(slice, first, 1)
  steps.push(clusterStep(run, offset, clusterBytes))
  return { steps, result: resultOf(run, head) }
}

async function l1Step(
  source: BlockSource,
  { tableReach }: Geometry,
  l1: L1Place,
  offset: number,
  steps: Step[],
): Promise<number> {
  const index = Math.floor(offset / tableReach)
  const at = l1.offset + index * 8
  const entry = index < l1.count ? await entryAt(source, at, 8) : new DataView(new ArrayBuffer(8))
  const table = hostOffset(entry.getUint32(0), entry.getUint32(4))
  steps.push({
    what: 'L1 entry',
    'l1-table': l1.offset,
    'l1-index': index,
    offset: at,
    value: hex(entry, 0),
    'l2-table': table,
  })
  return table
}

/** Gives the entry alone, as a slice whose first guest offset it is. */
async function l2Step(
  source: BlockSource,
  { clusterBytes, tableReach, entryBytes, sliceReach }: Geometry,
  table: number,
  offset: number,
  steps: Step[],
): Promise<{ slice: DataView; first: number }> {
  const index = Math.floor((offset % tableReach) / clusterBytes)
  const at = table + index * entryBytes
  const entry = await entryAt(source, at, entryBytes)
  steps.push({
    what: 'L2 entry',
    'l2-index': index,
    offset: at,
    value: hex(entry, 0),
    ...(entryBytes === 16 && { bitmap: hex(entry, 8) }),
  })
  // The walker looks for the entry where its slice has it.
  const inSlice = Math.floor((offset % sliceReach) / clusterBytes) * entryBytes
  const slice = new DataView(new ArrayBuffer(inSlice + entryBytes))
  for (let byte = 0; byte < entryBytes; byte++) slice.setUint8(inSlice + byte, entry.getUint8(byte))
  return { slice, first: offset }
}

function clusterStep(run: Run, offset: number, clusterBytes: number): Step {
  const within = offset % clusterBytes
  switch (run.kind) {
    case 'compressed':
      return {
        what: 'compressed cluster',
        ...run.packed[0],
        'within-cluster': within,
      }
    case 'standard':
      return { what: 'standard cluster', offset: run.host - within, 'within-cluster': within }
    case 'zero':
    case 'unallocated':
      return {
        what: run.kind === 'zero' ? 'zero cluster' : 'unallocated cluster',
        ...(run.host !== undefined && { offset: run.host - within }),
        'within-cluster': within,
      }
  }
}

function resultOf(run: Run, { features, header }: Qcow2Head): Explanation['result'] {
  switch (run.kind) {
    case 'compressed':
      return { kind: 'packed', ...run.packed[0]! }
    case 'standard':
      return {
        kind: header.crypt_method === 0 ? 'data' : 'encrypted',
        offset: run.host,
        ...(features.dataFile && { file: 'data-file' as const }),
      }
    case 'zero':
      return { kind: 'zero' }
    case 'unallocated':
      return { kind: 'hole' }
  }
}

async function entryAt(source: BlockSource, at: number, length: number): Promise<DataView> {
  const bytes = await readClamped(source, at, length)
  return new DataView(bytes.buffer, bytes.byteOffset, length)
}

function hex(entry: DataView, at: number): string {
  return `0x${entry.getBigUint64(at).toString(16).padStart(16, '0')}`
}
