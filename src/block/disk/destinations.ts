import { createHash } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import { struct, u32 } from '../../binary/struct.ts'
import { StoreFull } from '../../errors.ts'
import { HEADER_LENGTH, isOurs } from './layout.ts'
import type { Place } from './place.ts'

/**
 * Where the redirects of an image led whose overlay this is, for the next start of the machine: they
 * may lead to a newer version by then. It stands in the header, in sectors of its own behind those who
 * it belongs to: a length, a line for each URL and where it led, and the digest of both; or zeroes. It
 * is a hint, so that what is damaged counts as nothing.
 */

export type Destinations = ReadonlyMap<string, URL>

const AT = 512
const NOTE_BYTES = HEADER_LENGTH - AT
const Head = struct({ textBytes: u32 })
const DIGEST_BYTES = 32
const MOST_TEXT_BYTES = NOTE_BYTES - Head.size - DIGEST_BYTES

/**
 * Keeps what is no secret: disks change hands, so no signatures and passwords, which would have ended
 * by the next start anyway. What finds no room is left out.
 */
export async function keepDestinations(place: Place, destinations: Destinations): Promise<void> {
  const lines = [...destinations]
    .filter(([url, to]) => isPublic(new URL(url)) && isPublic(to))
    .map(([url, { href }]) => `${url} ${href}\n`)
  const text = Buffer.from(lines.join(''))
  if (text.length === 0 || text.length > MOST_TEXT_BYTES) return
  const note = noteOf(text)
  const before = new Uint8Array(NOTE_BYTES)
  await place.read(before, AT)
  if (note.equals(before)) return
  await place.write(note, AT).catch((error: unknown) => {
    // On a file system that writes over nothing this needs room, and must not fail for want of it.
    if (!(error instanceof StoreFull)) throw error
  })
}

/** Those that the overlay at `path` has; none if there is no overlay. */
export async function keptDestinations(path: string): Promise<Destinations> {
  const header = Buffer.alloc(HEADER_LENGTH)
  try {
    // A pipe would be waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    await file.read(header, 0, header.length, 0)
  } catch {
    // Whoever opens the overlay says what is wrong with it.
    return new Map()
  }
  if (!isOurs(header)) return new Map()
  const note = header.subarray(AT)
  const { textBytes } = Head.decode(note)
  if (textBytes > MOST_TEXT_BYTES) return new Map()
  const text = note.subarray(Head.size, Head.size + textBytes)
  if (!noteOf(text).equals(note)) return new Map()
  const lines = text.toString().split('\n')
  return new Map(
    lines.flatMap((line) => {
      const [url = '', to = ''] = line.split(' ')
      const destination = URL.parse(to)
      return destination === null ? [] : [[url, destination] as const]
    }),
  )
}

function noteOf(text: Uint8Array): Buffer {
  const note = Buffer.alloc(NOTE_BYTES)
  Head.encode({ textBytes: text.length }, note)
  const end = Head.size + text.length
  note.set(text, Head.size)
  note.set(createHash('sha256').update(note.subarray(0, end)).digest(), end)
  return note
}

function isPublic({ search, username, password }: URL): boolean {
  return search === '' && username === '' && password === ''
}
