import { number64, struct, u16, u32, u64 } from '../../binary/struct.ts'
import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid, ImageUnsupported, UsageError } from '../../errors.ts'
import type { Header } from './header.ts'
import { TableReader } from './table-reader.ts'
import type { L1Place } from './tables.ts'

/** QCOW2 specification, section "Snapshots": a table entry, whose strings follow. */
const SnapshotRecord = struct({
  l1_table_offset: number64,
  l1_size: u32,
  id_size: u16,
  name_size: u16,
  date_sec: u32,
  date_nsec: u32,
  vm_clock_nsec: number64,
  vm_state_size: u32,
  extra_data_size: u32,
})
/** The extra data known so far; an entry may hold less of it, or more. */
const SnapshotExtra = struct({ vm_state_size: number64, disk_size: number64, icount: u64 })
const DISK_SIZE_END = 16
const ICOUNT_END = 24
const NO_ICOUNT = 0xffff_ffff_ffff_ffffn

/** The limits that QEMU has. */
const EXTRA_BYTES = 1024
const TABLE_BYTES = 64 * 2 ** 20
const L1_ENTRIES = (32 * 2 ** 20) / 8
/** How many are named to a user who asked for another one. */
const LISTED = 20

export interface Snapshot {
  readonly id: string
  readonly name: string
  readonly l1: L1Place
  /** The size of the disk in bytes when the snapshot was taken. */
  readonly diskBytes: number
  readonly vmStateBytes: number
  readonly dateSeconds: number
  readonly dateNanoseconds: number
  readonly vmClockNanoseconds: number
  /** Instructions counted by record and replay, if they were. */
  readonly icount: number | undefined
  /** Where its table entry ends in the file. */
  readonly end: number
}

export async function readSnapshots(source: BlockSource, header: Header): Promise<Snapshot[]> {
  const reader = new TableReader(source, header.snapshots_offset, TABLE_BYTES)
  const snapshots: Snapshot[] = []
  for (let i = 0; i < header.nb_snapshots; i++) snapshots.push(await readSnapshot(reader, header))
  return snapshots
}

/** Where the tables of a disk are and how large it is: the active one, or a snapshot's. */
export interface Disk {
  readonly l1: L1Place
  readonly size: number
}

/** The disk of the snapshot with this id, or else this name, as QEMU does; else the active one. */
export async function diskOf(
  source: BlockSource,
  header: Header,
  snapshot: string | undefined,
): Promise<Disk> {
  if (snapshot === undefined)
    return { l1: { offset: header.l1_table_offset, count: header.l1_size }, size: header.size }
  const all = await readSnapshots(source, header)
  const found = all.find(({ id }) => id === snapshot) ?? all.find(({ name }) => name === snapshot)
  if (!found) {
    throw new UsageError(`the image has no snapshot ${JSON.stringify(snapshot)}`, {
      advice: all.length > 0 ? `it has ${listed(all)}` : 'it has none',
    })
  }
  checkTable(found, header)
  return { l1: found.l1, size: found.diskBytes }
}

function listed(all: readonly Snapshot[]): string {
  const names = all.slice(0, LISTED).map(({ id, name }) => `${id} ${JSON.stringify(name)}`)
  return `${names.join(', ')}${all.length > LISTED ? `, and ${all.length - LISTED} more` : ''}`
}

async function readSnapshot(reader: TableReader, header: Header): Promise<Snapshot> {
  reader.skip(0, 8)
  const at = reader.offset
  const record = SnapshotRecord.decode(await reader.read(SnapshotRecord.size))
  const { extra_data_size } = record
  if (extra_data_size > EXTRA_BYTES)
    throw new ImageInvalid('a snapshot has too much extra data', {
      where: { offset: at + 36, extra_data_size, most: EXTRA_BYTES },
    })
  const extra = new Uint8Array(SnapshotExtra.size)
  extra.set((await reader.read(extra_data_size)).subarray(0, SnapshotExtra.size))
  const { vm_state_size, disk_size, icount } = SnapshotExtra.decode(extra)
  const id = text(await reader.read(record.id_size))
  const name = text(await reader.read(record.name_size))
  return {
    id,
    name,
    end: reader.offset,
    l1: { offset: record.l1_table_offset, count: record.l1_size },
    diskBytes: extra_data_size >= DISK_SIZE_END ? disk_size : header.size,
    vmStateBytes: extra_data_size >= 8 ? vm_state_size : record.vm_state_size,
    dateSeconds: record.date_sec,
    dateNanoseconds: record.date_nsec,
    vmClockNanoseconds: record.vm_clock_nsec,
    icount: extra_data_size < ICOUNT_END || icount === NO_ICOUNT ? undefined : Number(icount),
  }
}

/** The same limits as for the active L1 table, whose size the snapshot's own disk may exceed. */
function checkTable(snapshot: Snapshot, header: Header): void {
  const { offset, count } = snapshot.l1
  if (count > L1_ENTRIES)
    throw new ImageInvalid('the L1 table of the snapshot is too large', {
      where: { offset, l1_size: count, most: L1_ENTRIES },
    })
  if (!Number.isSafeInteger(offset) || offset % 2 ** header.cluster_bits !== 0)
    throw new ImageInvalid('the L1 table of the snapshot does not begin at a cluster', {
      where: { offset },
    })
  if (!Number.isSafeInteger(snapshot.diskBytes))
    throw new ImageUnsupported('a snapshot of 8 PiB or more', {
      where: { size: snapshot.diskBytes },
    })
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
