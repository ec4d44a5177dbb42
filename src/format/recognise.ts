/** What a file that is not the wanted image begins with, so that the error can say so. */
interface Looks {
  readonly name: string
  readonly at: number
  readonly bytes: string
  /** It could be read as it stands, byte by byte. */
  readonly raw?: true
}

/** Signatures as strings of single bytes, the most telling first. */
const LOOKS: readonly Looks[] = [
  { name: 'a QCOW version 1 image', at: 0, bytes: 'QFI\xfb\0\0\0\x01' },
  { name: 'a QED image', at: 0, bytes: 'QED\0' },
  { name: 'a VMDK image', at: 0, bytes: 'KDMV' },
  { name: 'a VMDK image', at: 0, bytes: 'COWD' },
  { name: 'a VMDK descriptor', at: 0, bytes: '# Disk DescriptorFile' },
  { name: 'a VHD image', at: 0, bytes: 'conectix' },
  { name: 'a VHDX image', at: 0, bytes: 'vhdxfile' },
  { name: 'a VDI image', at: 64, bytes: '\x7f\x10\xda\xbe' },
  { name: 'a Parallels image', at: 0, bytes: 'WithoutFreeSpace' },
  { name: 'a Parallels image', at: 0, bytes: 'WithouFreSpacExt' },
  { name: 'a gzip file', at: 0, bytes: '\x1f\x8b' },
  { name: 'an xz file', at: 0, bytes: '\xfd7zXZ\0' },
  { name: 'a zstd file', at: 0, bytes: '\x28\xb5\x2f\xfd' },
  { name: 'a bzip2 file', at: 0, bytes: 'BZh' },
  { name: 'an lz4 file', at: 0, bytes: '\x04\x22\x4d\x18' },
  { name: 'a zip file', at: 0, bytes: 'PK\x03\x04' },
  { name: 'a tar file', at: 257, bytes: 'ustar' },
  { name: 'a cpio archive', at: 0, bytes: '070701' },
  { name: 'an ELF file', at: 0, bytes: '\x7fELF' },
  { name: 'a Git LFS pointer, not the file itself', at: 0, bytes: 'version https://git-lfs' },
  { name: 'a LUKS volume', at: 0, bytes: 'LUKS\xba\xbe' },
  { name: 'a squashfs file system', at: 0, bytes: 'hsqs', raw: true },
  { name: 'an XFS file system', at: 0, bytes: 'XFSB', raw: true },
  { name: 'an EROFS file system', at: 1024, bytes: '\xe2\xe1\xf5\xe0', raw: true },
  { name: 'an ext2/3/4 file system', at: 1080, bytes: '\x53\xef', raw: true },
  { name: 'an ISO 9660 image', at: 32769, bytes: 'CD001', raw: true },
  { name: 'a raw disk with a GPT', at: 512, bytes: 'EFI PART', raw: true },
  { name: 'a raw disk with a GPT of 4096-byte sectors', at: 4096, bytes: 'EFI PART', raw: true },
  { name: 'a raw disk with an MBR', at: 510, bytes: '\x55\xaa', raw: true },
]

/** How much of the beginning of a file `recognise` looks at, in bytes. */
const RECOGNISED_BYTES = 33 * 1024

/** What `head`, the beginning of a file, looks like, and whether it could be a raw disk. */
export function recognise(head: Uint8Array): { readonly name: string; readonly raw: boolean } {
  if (head.length === 0) return { name: 'an empty file', raw: false }
  const text = Buffer.from(head.subarray(0, RECOGNISED_BYTES)).toString('latin1')
  for (const { name, at, bytes, raw } of LOOKS)
    if (text.startsWith(bytes, at)) return { name, raw: raw ?? false }
  if (/^\s*(<!doctype html|<html)/i.test(text)) return { name: 'an HTML page', raw: false }
  if (/^\s*<(\?xml|error)/i.test(text)) return { name: 'an XML document', raw: false }
  if (/^\s*\{\s*"/.test(text)) return { name: 'a JSON document', raw: false }
  if (/^[\t\n\r\x20-\x7e]*$/.test(text)) return { name: 'a text', raw: false }
  return { name: 'nothing that netcow knows', raw: head.length >= 512 }
}
