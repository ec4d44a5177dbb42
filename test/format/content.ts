import assert from 'node:assert/strict'
import type { Test } from 'tap'
import { type BlockSource, extents } from '../../src/block/source.ts'
import { type MapEntry, mapImage } from '../../src/format/map.ts'
import type { QemuExtent } from '../fixtures/qemu-img.ts'

/** Bytes that look like a disk: text that compresses, noise that does not, and gaps. */
export function content(bytes: number, seed = 1): Uint8Array {
  const disk = new Uint8Array(bytes)
  let state = seed >>> 0 || 1
  const random = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  for (let at = 0; at < bytes;) {
    const end = Math.min(bytes, at + 512 * (1 + (random() % 200)))
    const kind = random() % 4
    if (kind === 1) for (let i = at; i < end; i++) disk[i] = 97 + ((i * 7 + (i >> 5)) % 26)
    if (kind >= 2)
      for (let i = at; i < end; i++) disk[i] = kind === 2 ? random() : 65 + (random() % 4)
    at = end
  }
  return disk
}

export async function readAll(source: BlockSource): Promise<Uint8Array> {
  const target = new Uint8Array(source.size)
  if (target.length > 0) await source.read(target, 0)
  return target
}

/** Reads at odd places and in odd lengths, and compares with the whole. */
export async function readsLike(source: BlockSource, disk: Uint8Array): Promise<void> {
  assert.equal(source.size, disk.length)
  assert.ok(Buffer.compare(await readAll(source), disk) === 0, 'the whole disk')
  const step = Math.max(1, Math.floor(disk.length / 37))
  for (let at = 0; at < disk.length; at += step) {
    const length = Math.min(disk.length - at, 1 + ((at * 13) % 9973))
    const target = new Uint8Array(length)
    await source.read(target, at)
    assert.ok(Buffer.compare(target, disk.subarray(at, at + length)) === 0, `${length} at ${at}`)
  }
}

type Kind = { readonly kind: string; readonly depth: number; readonly end: number }

function merged(kinds: Iterable<Kind>): Kind[] {
  const list: Kind[] = []
  for (const next of kinds) {
    const last = list.at(-1)
    if (last && last.kind === next.kind && last.depth === next.depth) list.pop()
    list.push(next)
  }
  return list
}

/** What a source says of itself, neighbours of one kind in one. */
export async function extentsOf(source: BlockSource): Promise<Kind[]> {
  const list: Kind[] = []
  for await (const { kind, depth, offset, length } of extents(source))
    list.push({ kind, depth, end: offset + length })
  return merged(list)
}

/**
 * The same in QEMU's words: `data` that QEMU also calls zero lies in holes of the file itself,
 * which a web server does not show.
 */
export function extentsOfQemu(map: readonly QemuExtent[]): Kind[] {
  return merged(
    map.map(({ start, length, depth, present, data }) => ({
      kind: data ? 'data' : present ? 'zero' : 'hole',
      depth: present ? depth + 1 : 0,
      end: start + length,
    })),
  )
}

/** The map of an image, as QEMU would give it if it did not look for holes in the file. */
async function mapOf(image: BlockSource): Promise<MapEntry[]> {
  return Array.fromAsync(mapImage(image))
}

function mapOfQemu(map: readonly QemuExtent[], ours: readonly MapEntry[]): MapEntry[] {
  const list: MapEntry[] = []
  for (const { data, zero, ...entry } of map) {
    const next = { compressed: false, ...entry, data, zero: zero && !data }
    const last = list.at(-1)
    const end = last && last.start + last.length
    const goesOn =
      last &&
      last.data === next.data &&
      last.zero === next.zero &&
      last.present === next.present &&
      last.depth === next.depth &&
      last.compressed === next.compressed &&
      (last.offset === undefined ? undefined : last.offset + last.length) === next.offset
    if (goesOn && end === next.start)
      list.splice(-1, 1, { ...last, length: last.length + next.length })
    else list.push(next)
  }
  if (map.some(({ compressed }) => compressed !== undefined)) return list
  // QEMU 7.2 does not tell compressed data from data without a place.
  const packed = new Set(ours.filter((entry) => entry.compressed).map(({ start }) => start))
  return list.map((entry) => ({ ...entry, compressed: packed.has(entry.start) }))
}

/** Compares what a map shows. */
export async function showsLike(
  t: Test,
  image: BlockSource,
  theirs: readonly QemuExtent[],
): Promise<void> {
  const ours = await mapOf(image)
  t.strictSame(ours, mapOfQemu(theirs, ours), 'the map')
}

/** Compares both what a map shows and what a client is told. */
export async function mapsLike(
  t: Test,
  image: BlockSource,
  theirs: readonly QemuExtent[],
): Promise<void> {
  await showsLike(t, image, theirs)
  t.strictSame(await extentsOf(image), extentsOfQemu(theirs), 'the extents')
}
