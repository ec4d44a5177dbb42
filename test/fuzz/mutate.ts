import type { Random } from './random.ts'

/** Numbers at which code that counts, shifts or allocates goes wrong. */
const NUMBERS = [
  0n,
  1n,
  2n,
  0x1ffn,
  0x200n,
  0xffffn,
  0x10000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  0x1_0000_0000n,
  1n << 53n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
]
const MOST_MUTATIONS = 6

/** A damaged copy of `image`; `others` are what pieces are taken from. */
export function mutate(
  image: Uint8Array,
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  let bytes = new Uint8Array(image)
  for (let count = 1 + random.below(MOST_MUTATIONS); count > 0; count--)
    bytes = mutateOnce(bytes, others, random)
  return bytes
}

function mutateOnce(
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  if (bytes.length < 16) return bytes
  const view = new DataView(bytes.buffer)
  const at = place(view, random)
  switch (random.below(10)) {
    case 0:
    case 1:
      bytes[at]! ^= 1 << random.below(8)
      return bytes
    case 2:
      bytes[at] = random.below(256)
      return bytes
    case 3:
    case 4:
      view.setBigUint64(Math.min(at - (at % 8), bytes.length - 8), random.pick(NUMBERS))
      return bytes
    case 5:
      view.setUint32(Math.min(at - (at % 4), bytes.length - 4), random.below(64))
      return bytes
    case 6: {
      const other = Math.min(place(view, random), bytes.length - 8)
      view.setBigUint64(
        Math.min(at - (at % 8), bytes.length - 8),
        view.getBigUint64(other - (other % 8)),
      )
      return bytes
    }
    case 7:
      return random.below(4) === 0 ? bytes.slice(0, random.below(bytes.length)) : bytes
    case 8: {
      const other = random.pick(others)
      const from = random.below(other.length)
      const piece = other.subarray(from, from + 1 + random.below(4096))
      bytes.set(piece.subarray(0, bytes.length - at), at)
      return bytes
    }
    default: {
      const from = random.below(bytes.length)
      bytes.copyWithin(at, from, from + 1 + random.below(1024))
      return bytes
    }
  }
}

/** The header of the encryption, if there is one. */
function luks(view: DataView): number[] {
  const head = Buffer.from(view.buffer, 0, Math.min(view.byteLength, LUKS_WITHIN_BYTES))
  const at = head.indexOf('LUKS\xba\xbe', 0, 'latin1')
  return at < 0 ? [] : [at, at, at]
}
const LUKS_WITHIN_BYTES = 64 * 1024

/** Most mutations hit what has a meaning: the header, the L1 table and the tables it points to. */
function place(view: DataView, random: Random): number {
  const end = view.byteLength
  const l1 = Number(view.getBigUint64(40 <= end - 8 ? 40 : 0))
  const l2 = l1 + 8 <= end ? Number(view.getBigUint64(l1) & 0x00ff_ffff_ffff_fe00n) : 0
  const starts = [0, 0, 0, l1, l2, l2, ...luks(view), random.below(end)]
  const at = random.pick(starts) + random.below(random.pick([16, 112, 256, 4096]))
  return at < end ? at : random.below(end)
}
