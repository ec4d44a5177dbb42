/** From the beginning of a page, where large buffers begin but for 16 bytes, to half of it. */
const AWAY_BYTES = 2048 - 16

/**
 * Bytes that large pieces of files are read into. The kernel copies with one instruction, which
 * takes five times as long on some processors when the target lies a few bytes behind the source
 * within their pages. What is read begins at a page mostly, so the target should not.
 */
export function readBuffer(length: number): Uint8Array {
  return new Uint8Array(length + AWAY_BYTES).subarray(AWAY_BYTES)
}
