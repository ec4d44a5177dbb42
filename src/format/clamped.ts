import type { BlockSource } from '../block/source.ts'

/**
 * Reads `length` bytes at `offset`; what lies past the end of the source is zeroes, as the
 * format's own tools read a file that ends early.
 */
export async function readClamped(
  source: BlockSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const held = Math.min(source.size - offset, length)
  if (held > 0) await source.read(bytes.subarray(0, held), offset)
  return bytes
}
