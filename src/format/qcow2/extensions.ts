import { number64, struct, u32 } from '../../binary/struct.ts'
import { ImageInvalid } from '../../errors.ts'
import type { Header } from './header.ts'

/** QCOW2 specification, section "Header extensions". */
const ExtensionHeader = struct({ type: u32, length: u32 })
/** Section "Bitmaps extension". */
const BitmapsExtension = struct({
  nb_bitmaps: u32,
  reserved: u32,
  bitmap_directory_size: number64,
  bitmap_directory_offset: number64,
})
/** Section "Full disk encryption header pointer". */
const EncryptionPointer = struct({ offset: number64, length: number64 })

/** Section "Feature name table". */
export interface FeatureName {
  readonly type: 'incompatible' | 'compatible' | 'autoclear' | 'unknown'
  readonly bit: number
  readonly name: string
}
const FEATURE_TYPES = ['incompatible', 'compatible', 'autoclear'] as const
const FEATURE_NAME_BYTES = 48

export interface Extensions {
  readonly backingFormat?: string
  readonly dataFile?: string
  readonly features: readonly FeatureName[]
  readonly bitmaps?: ReturnType<(typeof BitmapsExtension)['decode']>
  readonly encryption?: ReturnType<(typeof EncryptionPointer)['decode']>
  /** Every extension in order, known or not. */
  readonly all: readonly { readonly name: string; readonly type: number; readonly length: number }[]
}

const END = 0
const NAMES = new Map([
  [0xe2792aca, 'backing file format'],
  [0x6803f857, 'feature name table'],
  [0x23852875, 'bitmaps'],
  [0x0537be77, 'full disk encryption header'],
  [0x44415441, 'external data file'],
])

/** Decodes what stands between the header and the backing file name, within the first cluster. */
export function decodeExtensions(header: Header, firstCluster: Uint8Array): Extensions {
  const found: { -readonly [K in keyof Extensions]: Extensions[K] } = { features: [], all: [] }
  const all: { name: string; type: number; length: number }[] = []
  for (const { type, bytes, at } of walk(header, firstCluster)) {
    all.push({ name: NAMES.get(type) ?? `unknown`, type, length: bytes.length })
    switch (type) {
      case 0xe2792aca:
        if (bytes.length > 15) fail('the backing file format is too long', at, bytes.length)
        found.backingFormat = text(bytes)
        break
      case 0x6803f857:
        found.features = [...featureNames(bytes)]
        break
      case 0x23852875:
        if (bytes.length !== BitmapsExtension.size)
          fail('the bitmaps extension has the wrong length', at, bytes.length)
        found.bitmaps = BitmapsExtension.decode(bytes)
        break
      case 0x0537be77:
        if (bytes.length !== EncryptionPointer.size)
          fail('the encryption header pointer has the wrong length', at, bytes.length)
        found.encryption = EncryptionPointer.decode(bytes)
        break
      case 0x44415441:
        found.dataFile = text(bytes)
        break
    }
  }
  return { ...found, all }
}

/** The name stands inside of the first cluster: `decodeHeader` has checked that. */
export function backingFileName(header: Header, firstCluster: Uint8Array): string | undefined {
  const { backing_file_offset: at, backing_file_size: length } = header
  const name = at === 0 ? '' : text(firstCluster.subarray(at, at + length))
  return name === '' ? undefined : name
}

function* walk(
  header: Header,
  firstCluster: Uint8Array,
): Generator<{ type: number; bytes: Uint8Array; at: number }> {
  const end = header.backing_file_offset || firstCluster.length
  for (let at = header.header_length; at < end;) {
    if (at + ExtensionHeader.size > end) fail('a header extension is cut off', at, end - at)
    const { type, length } = ExtensionHeader.decode(firstCluster, at)
    const begin = at + ExtensionHeader.size
    if (length > end - begin) fail('a header extension is too long', at, length)
    if (type === END) return
    yield { type, bytes: firstCluster.subarray(begin, begin + length), at }
    at = begin + Math.ceil(length / 8) * 8
  }
}

function* featureNames(bytes: Uint8Array): Generator<FeatureName> {
  for (let at = 0; at + FEATURE_NAME_BYTES <= bytes.length; at += FEATURE_NAME_BYTES)
    yield {
      type: FEATURE_TYPES[bytes[at]!] ?? 'unknown',
      bit: bytes[at + 1]!,
      name: text(bytes.subarray(at + 2, at + FEATURE_NAME_BYTES)),
    }
}

/** Up to the first NUL: QEMU reads these strings as C strings. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}

function fail(what: string, offset: number, length: number): never {
  throw new ImageInvalid(`not a sound QCOW2 image: ${what}`, { where: { offset, length } })
}
