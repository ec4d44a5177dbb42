import assert from 'node:assert/strict'

/** What of an ELF file the kernel and the dynamic loader look at (elf(5)): 64 bits, little-endian. */

const FILE_HEADER = { programHeaders: 32, sectionHeaders: 40, count: 56, sections: 60, names: 62 }
const PROGRAM_HEADER_BYTES = 56
const LOAD = 1
const PROGRAM_HEADERS = 6
const EXECUTABLE = 1

interface Segment {
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly address: number
  readonly fileBytes: number
  readonly memoryBytes: number
  readonly alignment: number
}

/**
 * `file` without its bytes from `from` to `to`, or as many of them as whole pages can spare: nothing
 * is at their addresses then, and everything else stays at its own. The bytes must lie in one
 * segment, and nothing may ever look at them. What only debuggers and strip read, the table of
 * sections, is left out.
 */
export function withoutRange(file: Buffer, from: number, to: number): Buffer {
  const segments = readSegments(file)
  const load = segments.find((it) => it.type === LOAD && within(it, from, to))
  assert(load, 'the range lies in one segment')
  const begin = Math.ceil(from / load.alignment) * load.alignment
  const end = Math.floor(to / load.alignment) * load.alignment
  if (end <= begin) return file
  const moved = (offset: number) => (offset < end ? offset : offset - (end - begin))
  const tail = load.offset + load.fileBytes - end
  const parts = segments.flatMap((segment): Segment[] => {
    if (segment !== load) return [{ ...segment, offset: moved(segment.offset) }]
    const head = begin - load.offset
    return [
      { ...load, fileBytes: head, memoryBytes: head },
      {
        ...load,
        offset: begin,
        address: load.address + end - load.offset,
        fileBytes: tail,
        memoryBytes: tail + load.memoryBytes - load.fileBytes,
      },
    ]
  })
  const last = Math.max(...segments.map(({ offset, fileBytes }) => offset + fileBytes))
  const result = Buffer.concat([file.subarray(0, begin), file.subarray(end, last)])
  writeSegments(result, parts, begin)
  return result
}

function within({ offset, fileBytes }: Segment, from: number, to: number): boolean {
  return offset <= from && to <= offset + fileBytes
}

function readSegments(file: Buffer): Segment[] {
  const table = Number(file.readBigUInt64LE(FILE_HEADER.programHeaders))
  const count = file.readUInt16LE(FILE_HEADER.count)
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * PROGRAM_HEADER_BYTES
    const wide = (field: number) => Number(file.readBigUInt64LE(at + field))
    return {
      type: file.readUInt32LE(at),
      flags: file.readUInt32LE(at + 4),
      offset: wide(8),
      address: wide(16),
      fileBytes: wide(32),
      memoryBytes: wide(40),
      alignment: wide(48),
    }
  })
}

/**
 * The table of segments goes behind the code, into the rest of its last page: before the gap, since
 * kernels before 5.18 take the table's address for its offset and the base.
 */
function writeSegments(file: Buffer, segments: readonly Segment[], before: number): void {
  const code = segments.find(({ type, flags }) => type === LOAD && (flags & EXECUTABLE) !== 0)
  assert(code, 'an executable has code')
  const bytes = segments.length * PROGRAM_HEADER_BYTES
  const own = segments.find(({ type }) => type === PROGRAM_HEADERS)
  assert(own, 'the table is itself in a segment')
  const inPlace = own.offset < before && bytes <= own.fileBytes
  const end = code.offset + code.fileBytes
  const table = inPlace ? own.offset : Math.ceil(end / 8) * 8
  const next = Math.min(
    ...segments.filter((it) => it.type === LOAD && it.offset >= end).map(({ offset }) => offset),
  )
  assert(table + bytes <= next || inPlace, 'there is room behind the code')
  const final = segments.map((segment) => {
    if (inPlace) return segment
    if (segment === own) {
      const address = code.address + table - code.offset
      return { ...own, offset: table, address, fileBytes: bytes, memoryBytes: bytes }
    }
    if (segment !== code) return segment
    const grown = table + bytes - code.offset
    return { ...code, fileBytes: grown, memoryBytes: grown }
  })
  for (const [index, segment] of final.entries()) {
    const at = table + index * PROGRAM_HEADER_BYTES
    file.writeUInt32LE(segment.type, at)
    file.writeUInt32LE(segment.flags, at + 4)
    const { offset, address, fileBytes, memoryBytes, alignment } = segment
    const fields = [offset, address, address, fileBytes, memoryBytes, alignment]
    for (const [field, value] of fields.entries()) {
      file.writeBigUInt64LE(BigInt(value), at + 8 + field * 8)
    }
  }
  file.writeBigUInt64LE(BigInt(table), FILE_HEADER.programHeaders)
  file.writeUInt16LE(final.length, FILE_HEADER.count)
  file.writeBigUInt64LE(0n, FILE_HEADER.sectionHeaders)
  file.writeUInt16LE(0, FILE_HEADER.sections)
  file.writeUInt16LE(0, FILE_HEADER.names)
}
