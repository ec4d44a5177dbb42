import type { BlockSource } from '../block/source.ts'
import { Image, type Place } from './image.ts'

/** One entry of `qemu-img map --output=json`. */
export interface MapEntry {
  readonly start: number
  readonly length: number
  /** Which file of the chain: 0 is the image itself. */
  readonly depth: number
  readonly present: boolean
  readonly zero: boolean
  readonly data: boolean
  readonly compressed: boolean
  readonly offset?: number
}

/** Tiles an image that `openImage` opened; runs that are one in their file are one entry. */
export async function* mapImage(image: BlockSource): AsyncGenerator<MapEntry> {
  let last: MapEntry | undefined
  for (let start = 0; start < image.size;) {
    const entry = entryOf(start, await placeOf(image, start))
    start += entry.length
    if (last && goesOn(last, entry)) last = { ...last, length: last.length + entry.length }
    else {
      if (last) yield last
      last = entry
    }
  }
  if (last) yield last
}

function placeOf(image: BlockSource, start: number): Promise<Place> | Place {
  const length = image.size - start
  if (image instanceof Image) return image.place(start, length)
  return { kind: 'data', length, layer: 0, offset: start }
}

function entryOf(start: number, { kind, length, layer, offset }: Place): MapEntry {
  return {
    start,
    length,
    depth: layer,
    present: kind !== 'hole',
    zero: kind === 'zero' || kind === 'hole',
    data: kind === 'data' || kind === 'packed',
    compressed: kind === 'packed',
    ...(offset !== undefined && { offset }),
  }
}

function goesOn(last: MapEntry, next: MapEntry): boolean {
  return (
    last.depth === next.depth &&
    last.present === next.present &&
    last.zero === next.zero &&
    last.data === next.data &&
    last.compressed === next.compressed &&
    (last.offset === undefined
      ? next.offset === undefined
      : last.offset + last.length === next.offset)
  )
}
