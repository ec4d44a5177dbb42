/**
 * Finds where a zstd frame ends, from its headers alone (RFC 8878, section 3.1.1). QEMU packs
 * compressed clusters back to back, and a decoder that is given the head of the next frame fails.
 */

const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50 // and the 15 numbers after it
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const
const RESERVED_BLOCK = 3
const RLE_BLOCK = 1

export interface ZstdFrame {
  readonly length: number
  /** It holds no bytes of ours. */
  readonly skippable: boolean
  /** Where the window descriptor stands, if there is one; the frame may ask for a huge window. */
  readonly windowAt: number | undefined
  /** The size of the content, if the frame tells it. */
  readonly contentBytes: number | undefined
}

/** The frame that begins at `at`, or `undefined` if there is no whole frame. */
export function zstdFrame(bytes: Uint8Array, at: number): ZstdFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (at + 8 > bytes.length) return undefined
  const magic = view.getUint32(at, true)
  if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE) {
    const length = 8 + view.getUint32(at + 4, true)
    if (at + length > bytes.length) return undefined
    return { length, skippable: true, windowAt: undefined, contentBytes: undefined }
  }
  if (magic !== MAGIC) return undefined
  const descriptor = bytes[at + 4]!
  const single = (descriptor & 0x20) !== 0
  const sizeBytes = descriptor >> 6 === 0 && single ? 1 : CONTENT_SIZE_BYTES[descriptor >> 6]!
  const sizeAt = at + 5 + (single ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]!
  const end = endOfBlocks(bytes, sizeAt + sizeBytes)
  const length = end === undefined ? Infinity : end + ((descriptor & 4) !== 0 ? 4 : 0) - at
  if (at + length > bytes.length) return undefined
  return {
    length,
    skippable: false,
    windowAt: single ? undefined : at + 5,
    contentBytes: contentSize(view, sizeAt, sizeBytes),
  }
}

function endOfBlocks(bytes: Uint8Array, first: number): number | undefined {
  for (let at = first; at + 3 <= bytes.length;) {
    const header = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
    const type = (header >> 1) & 3
    if (type === RESERVED_BLOCK) return undefined
    at += 3 + (type === RLE_BLOCK ? 1 : header >> 3)
    if ((header & 1) !== 0) return at
  }
  return undefined
}

function contentSize(view: DataView, at: number, width: number): number | undefined {
  switch (width) {
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true) + 256
    case 4:
      return view.getUint32(at, true)
    case 8:
      return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
    default:
      return undefined
  }
}
