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
  await fillClamped(source, bytes, offset)
  return bytes
}

/** The same, into bytes that may hold anything before. */
export async function fillClamped(
  source: BlockSource,
  target: Uint8Array,
  offset: number,
): Promise<void> {
  const held = Math.min(Math.max(0, source.size - offset), target.length)
  target.fill(0, held)
  if (held > 0) await source.read(target.subarray(0, held), offset)
}
