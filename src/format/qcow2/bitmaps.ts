import { number64, struct, u16, u32, u8 } from '../../binary/struct.ts'
import type { BlockSource } from '../../block/source.ts'
import { ImageInvalid } from '../../errors.ts'
import type { Extensions } from './extensions.ts'
import { TableReader } from './table-reader.ts'

/** QCOW2 specification, section "Bitmap directory". */
const BitmapRecord = struct({
  bitmap_table_offset: number64,
  bitmap_table_size: u32,
  flags: u32,
  type: u8,
  granularity_bits: u8,
  name_size: u16,
  extra_data_size: u32,
})
/** By bit; QEMU has no word for the third, `extra_data_compatible`. */
const FLAGS = ['in-use', 'auto'] as const
/** The limits that QEMU has. */
const BITMAPS = 65_535
const NAME_BYTES = 1023
const ENTRY_BYTES = BitmapRecord.size + NAME_BYTES

export interface Bitmap {
  readonly name: string
  readonly granularityBytes: number
  readonly flags: readonly string[]
  readonly table: { readonly offset: number; readonly count: number }
}

/** Lists the bitmaps; nobody who only reads the disk needs what is in them. */
export async function readBitmaps(
  source: BlockSource,
  extension: NonNullable<Extensions['bitmaps']>,
): Promise<Bitmap[]> {
  const { nb_bitmaps, bitmap_directory_offset, bitmap_directory_size } = extension
  if (nb_bitmaps > BITMAPS || bitmap_directory_size > nb_bitmaps * ENTRY_BYTES)
    throw new ImageInvalid('the bitmap directory is too large', {
      where: { offset: bitmap_directory_offset, nb_bitmaps, bitmap_directory_size },
    })
  const reader = new TableReader(source, bitmap_directory_offset, bitmap_directory_size)
  const bitmaps: Bitmap[] = []
  for (let i = 0; i < nb_bitmaps; i++) bitmaps.push(await readBitmap(reader))
  return bitmaps
}

async function readBitmap(reader: TableReader): Promise<Bitmap> {
  const at = reader.offset
  const record = BitmapRecord.decode(await reader.read(BitmapRecord.size))
  const { granularity_bits, name_size, extra_data_size } = record
  if (granularity_bits > 63 || name_size > NAME_BYTES)
    throw new ImageInvalid('a bitmap is not sound', {
      where: { offset: at, granularity_bits, name_size },
    })
  reader.skip(extra_data_size)
  const name = Buffer.from(await reader.read(name_size)).toString('utf8')
  reader.skip(0, 8)
  return {
    name,
    granularityBytes: 2 ** granularity_bits,
    flags: FLAGS.filter((_, bit) => (record.flags & (1 << bit)) !== 0),
    table: { offset: record.bitmap_table_offset, count: record.bitmap_table_size },
  }
}
