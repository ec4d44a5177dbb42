import assert from 'node:assert/strict'

/**
 * ICU's data package, as it lies in Node: a header, a table of contents with names in order, and
 * the items (icu4c/source/common/ucmndata.h). All numbers are in the order of the machine, which is
 * little-endian wherever Node runs.
 */

const MAGIC = Buffer.from([0xda, 0x27])
/** The magic lies behind the header's length, the format's name behind lengths and flags. */
const MAGIC_AT = 2
const FORMAT = Buffer.from('CmnD')
const FORMAT_AT = 12
/** Items may be read in place, so they start where their numbers are aligned. */
const ALIGNMENT = 16

interface Item {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** Where in `file` the package is: from its first byte to the start of its last item. */
export interface Package {
  readonly start: number
  readonly end: number
  readonly headerBytes: number
  readonly items: readonly Item[]
}

/** The only package in `file`. */
export function findPackage(file: Buffer): Package {
  const starts: number[] = []
  for (let at = file.indexOf(FORMAT); at !== -1; at = file.indexOf(FORMAT, at + 1)) {
    const start = at - FORMAT_AT
    const magic = file.subarray(start + MAGIC_AT, start + MAGIC_AT + MAGIC.length)
    if (start >= 0 && magic.equals(MAGIC)) starts.push(start)
  }
  const [start, another] = starts
  assert(start !== undefined && another === undefined, 'one ICU package is in Node')
  const headerBytes = file.readUInt16LE(start)
  const contents = start + headerBytes
  const count = file.readUInt32LE(contents)
  const offsets = Array.from({ length: count }, (_, index) => {
    const entry = contents + 4 + index * 8
    return { name: file.readUInt32LE(entry), item: file.readUInt32LE(entry + 4) }
  })
  // The last item says nowhere how long it is; it is no loss.
  const items = offsets.slice(0, -1).map(({ name, item }, index) => ({
    name: file.toString('latin1', contents + name, file.indexOf(0, contents + name)),
    start: contents + item,
    end: contents + offsets[index + 1]!.item,
  }))
  return { start, end: items.at(-1)!.end, headerBytes, items }
}

/** The package again, with only the items whose names `keeps` says yes to. */
export function reduced(
  file: Buffer,
  { start, headerBytes, items }: Package,
  keeps: (name: string) => boolean,
): Buffer {
  const kept = items.filter(({ name }) => keeps(name))
  const names = Buffer.concat(kept.map(({ name }) => Buffer.from(`${name}\0`)))
  const namesAt = 4 + kept.length * 8
  const contents = Buffer.alloc(roundUp(namesAt + names.length))
  contents.writeUInt32LE(kept.length, 0)
  names.copy(contents, namesAt)
  let nameAt = namesAt
  let itemAt = contents.length
  for (const [index, item] of kept.entries()) {
    contents.writeUInt32LE(nameAt, 4 + index * 8)
    contents.writeUInt32LE(itemAt, 4 + index * 8 + 4)
    nameAt += item.name.length + 1
    itemAt += roundUp(item.end - item.start)
  }
  const header = file.subarray(start, start + headerBytes)
  const bodies = kept.map((item) => {
    const body = Buffer.alloc(roundUp(item.end - item.start))
    file.copy(body, 0, item.start, item.end)
    return body
  })
  return Buffer.concat([header, contents, ...bodies])
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
