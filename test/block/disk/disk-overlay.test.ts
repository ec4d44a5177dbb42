import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { setImmediate as immediate } from 'node:timers/promises'
import t from 'tap'
import { DiskOverlay } from '../../../src/block/disk/disk-overlay.ts'
import { CLUSTER_BYTES, layoutFor } from '../../../src/block/disk/layout.ts'
import type { Place } from '../../../src/block/disk/place.ts'
import { Quota } from '../../../src/block/quota.ts'
import type { BlockSource } from '../../../src/block/source.ts'
import { SourceRefused } from '../../../src/errors.ts'
import { patterned } from '../../fixtures/bytes.ts'
import { conforms } from '../../fixtures/conformance.ts'
import { deviceOf } from '../../fixtures/device.ts'
import { FaultySource } from '../../fixtures/faulty-source.ts'
import { VolatilePlace } from '../../fixtures/volatile-place.ts'

const SECTOR = 512
const CLUSTERS = 6
/** The last cluster is not a whole one. */
const SIZE = CLUSTERS * CLUSTER_BYTES - 5 * SECTOR
const PLACES = 9
const IDENTITY = 'ab'.repeat(32)
const OTHER = 'cd'.repeat(32)
const base = patterned(SIZE, 99)

function disk(grows = false): VolatilePlace {
  const bytes = Buffer.alloc(layoutFor(SIZE).data + PLACES * CLUSTER_BYTES)
  return new VolatilePlace(bytes, grows ? 0 : undefined)
}

function opened(
  place: Place,
  boot = 1,
  identities: readonly string[] = [IDENTITY],
  below: BlockSource = deviceOf(base),
): Promise<DiskOverlay> {
  return DiskOverlay.open(below, place, {
    identities,
    bootId: new Uint8Array(16).fill(boot),
    isEmpty: async () => true,
    quota: async (used) => {
      const quota = new Quota(PLACES * CLUSTER_BYTES)
      if (used > 0) quota.take(used)
      return quota
    },
  })
}

conforms(t, 'an overlay on a disk', base, () => opened(disk()))

const range = fc.integer({ min: 0, max: SIZE / SECTOR - 1 }).chain((first) =>
  fc.record({
    first: fc.constant(first),
    count: fc.oneof(
      fc.integer({ min: 1, max: Math.min(16, SIZE / SECTOR - first) }),
      fc.integer({ min: 1, max: SIZE / SECTOR - first }),
    ),
  }),
)
/** Whole clusters, as only they give their places back. */
const whole = fc.integer({ min: 0, max: CLUSTERS - 2 }).map((cluster) => ({
  first: (cluster * CLUSTER_BYTES) / SECTOR,
  count: CLUSTER_BYTES / SECTOR,
}))
const action = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'zero', 'discard', 'flush', 'kill', 'power'),
  range: fc.oneof(range, whole),
  seed: fc.integer({ min: 1, max: 250 }),
})

/** What each sector may hold: what it held at the last flush, and everything since. */
class Model {
  readonly #now = Buffer.from(base)
  #possible: Buffer[][] = []

  constructor() {
    this.flushed()
  }
  set(first: number, bytes: Uint8Array): void {
    this.#now.set(bytes, first * SECTOR)
    for (let at = 0; at < bytes.length; at += SECTOR) {
      this.#possible[first + at / SECTOR]!.push(Buffer.from(bytes.subarray(at, at + SECTOR)))
    }
  }
  sector(sector: number): Buffer {
    return this.#now.subarray(sector * SECTOR, (sector + 1) * SECTOR)
  }
  flushed(): void {
    this.#possible = Array.from({ length: SIZE / SECTOR }, (_, sector) => [
      Buffer.from(this.sector(sector)),
    ])
  }
  isNow(bytes: Buffer): boolean {
    return bytes.equals(this.#now)
  }
  /** Whether each sector is possible; it is then what it is. */
  settles(bytes: Buffer): boolean {
    const good = this.#possible.every((values, sector) => {
      const found = bytes.subarray(sector * SECTOR, (sector + 1) * SECTOR)
      return values.some((value) => value.equals(found))
    })
    this.#now.set(bytes)
    this.flushed()
    return good
  }
}

async function contentOf(device: DiskOverlay): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE)
  await device.read(bytes, 0)
  return bytes
}

t.test('what is acknowledged outlives a kill, and what is flushed a power failure', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(action, { minLength: 1, maxLength: 25 }),
      fc.array(fc.boolean(), { minLength: 61, maxLength: 61 }),
      async (grows, actions, luck) => {
        let place = disk(grows)
        let boot = 1
        let device = await opened(place, boot)
        const model = new Model()
        for (const { kind, range, seed } of actions) {
          const [offset, length] = [range.first * SECTOR, range.count * SECTOR]
          switch (kind) {
            case 'write': {
              const bytes = patterned(length, seed)
              await device.write(bytes, offset)
              model.set(range.first, bytes)
              break
            }
            case 'zero':
              await device.zero(offset, length)
              model.set(range.first, Buffer.alloc(length))
              break
            case 'discard': {
              await device.discard(offset, length)
              // Either nothing, or zeroes; which of them is now certain.
              const bytes = Buffer.alloc(length)
              await device.read(bytes, offset)
              model.set(range.first, bytes)
              break
            }
            case 'flush':
              await device.flush()
              model.flushed()
              break
            case 'kill': {
              // In the middle of a write, and of a flush or without one.
              model.flushed()
              if (seed % 2 === 0) device.flush().catch(() => {})
              const bytes = patterned(length, seed)
              const writing = Promise.resolve(device.write(bytes, offset)).catch(() => {})
              for (let turn = 0; turn < seed % 7; turn++) await immediate()
              place = place.afterKill()
              device = await opened(place, boot)
              model.set(range.first, bytes)
              if (!model.settles(await contentOf(device))) return false
              await writing
              break
            }
            case 'power':
              // In the middle of a flush, or without one.
              if (seed % 2 === 0) device.flush().catch(() => {})
              for (let turn = 0; turn < seed % 5; turn++) await immediate()
              place = place.afterPowerFailure(
                (sector) => luck[(sector * 7919 + seed * 31) % luck.length]!,
              )
              device = await opened(place, ++boot)
              if (!model.settles(await contentOf(device))) return false
              break
          }
          if (!model.isNow(await contentOf(device))) return false
        }
        return true
      },
    ),
    { numRuns: 150 },
  )
})

t.test('writes that come together are all kept', async (t) => {
  const place = disk()
  const device = await opened(place)
  const expected = Buffer.from(base)
  const writes = Array.from({ length: 200 }, (_, index) => {
    const bytes = patterned(3 * SECTOR, index)
    const offset = ((index * 37) % 700) * SECTOR
    return { bytes, offset }
  })
  const apart = writes.filter(
    ({ offset }, index) =>
      !writes.slice(0, index).some((other) => Math.abs(other.offset - offset) < 3 * SECTOR),
  )
  await Promise.all(
    apart.map(async ({ bytes, offset }, index) => {
      await device.write(bytes, offset)
      expected.set(bytes, offset)
      if (index % 7 === 0) await device.flush()
    }),
  )
  t.ok((await contentOf(device)).equals(expected))
  t.ok((await contentOf(await opened(place.afterKill()))).equals(expected))
  await device.flush()
  const after = place.afterPowerFailure(() => false)
  t.ok((await contentOf(await opened(after, 2))).equals(expected))
})

t.test('an overlay of another image is refused, and so is one that is damaged', async (t) => {
  const place = disk()
  await (await opened(place)).flush()
  await t.rejects(opened(place.afterKill(), 1, [OTHER]), /belongs to another image/)
  const damaged = place.afterKill()
  await damaged.write(Uint8Array.of(1), 20)
  await t.rejects(opened(damaged), /damaged/)
})

/** Where the second identity and its digest are, if there is one. */
const SECOND = { at: 88, length: 64 }

t.test('an overlay is known by either of two identities', async (t) => {
  const CONTENT = 'ef'.repeat(32)
  const place = disk()
  const device = await opened(place, 1, [IDENTITY, CONTENT])
  await device.write(patterned(SECTOR, 3), 0)
  const bytes = await contentOf(device)
  for (const identities of [[IDENTITY], [OTHER, CONTENT], [IDENTITY, OTHER]]) {
    const again = await opened(place.afterKill(), 1, identities)
    t.ok((await contentOf(again)).equals(bytes), identities.join(' '))
  }
  const others = [OTHER, 'ba'.repeat(32)]
  await t.rejects(opened(place.afterKill(), 1, others), {
    message: /belongs to another image/,
    advice: /such as at another mirror/,
  })
  for (let at = SECOND.at; at < SECOND.at + SECOND.length; at += 7) {
    const damaged = place.afterKill()
    const byte = new Uint8Array(1)
    await damaged.read(byte, at)
    await damaged.write(
      byte.map((value) => ~value),
      at,
    )
    await t.rejects(opened(damaged, 1, [IDENTITY, CONTENT]), /damaged/, `byte ${at}`)
  }
})

/** The header as it was before there were two. */
function oldHeader(): Buffer {
  const header = Buffer.alloc(4096)
  header.write('NETCOWOV')
  header.writeUInt32BE(1, 8)
  header.writeUInt32BE(CLUSTER_BYTES, 12)
  header.writeBigUInt64BE(BigInt(SIZE), 16)
  header.write(IDENTITY, 24, 'hex')
  header.set(createHash('sha256').update(header.subarray(0, 56)).digest(), 56)
  return header
}

t.test('one that was made when there was no digest gets it, and keeps it', async (t) => {
  const place = disk()
  const device = await opened(place)
  await device.write(patterned(SECTOR, 3), 0)
  await device.flush()
  const bytes = await contentOf(device)
  const header = Buffer.alloc(4096)
  await place.read(header, 0)
  t.ok(header.equals(oldHeader()))
  await t.rejects(opened(place.afterKill(), 1, [OTHER, 'ef'.repeat(32)]), /belongs to another/)
  await opened(place, 1, [IDENTITY, 'ef'.repeat(32)])
  const later = await opened(
    place.afterPowerFailure(() => false),
    2,
    [OTHER, 'ef'.repeat(32)],
  )
  t.ok((await contentOf(later)).equals(bytes))
})

t.test('nothing is written over that somebody else may need', async (t) => {
  const bytes = Buffer.from(patterned(layoutFor(SIZE).data + CLUSTER_BYTES, 3))
  const place = new VolatilePlace(bytes)
  const refused = DiskOverlay.open(deviceOf(base), place, {
    identities: [IDENTITY],
    bootId: new Uint8Array(16),
    isEmpty: async () => false,
    quota: async () => new Quota(0),
  })
  await t.rejects(refused, SourceRefused)
  const now = Buffer.alloc(bytes.length)
  await place.read(now, 0)
  t.ok(now.equals(bytes))
})

t.test('clusters that are discarded make room after a flush', async (t) => {
  const device = await opened(disk())
  await device.write(patterned(SIZE, 5), 0)
  t.equal(device.quota.usedBytes, CLUSTERS * CLUSTER_BYTES)
  await device.discard(0, 2 * CLUSTER_BYTES)
  t.equal(device.quota.usedBytes, CLUSTERS * CLUSTER_BYTES, 'not before')
  await device.flush()
  t.equal(device.quota.usedBytes, (CLUSTERS - 2) * CLUSTER_BYTES)
})

t.test('a base that is away keeps nobody from what the overlay has', async (t) => {
  const back = Promise.withResolvers<void>()
  const away = new FaultySource(base, () => back.promise)
  await using device = await opened(disk(), 1, [IDENTITY], away)
  const bytes = patterned(SECTOR, 3)
  await device.write(bytes, 0)
  // Another sector of the same cluster, and a cluster that is not allocated, but on the same page.
  const missing = [2 * SECTOR, CLUSTER_BYTES].map(async (offset) => {
    const target = new Uint8Array(SECTOR)
    await device.read(target, offset)
    t.strictSame(target, base.subarray(offset, offset + SECTOR))
  })
  await immediate()
  await device.write(bytes, SECTOR)
  await device.write(bytes, CLUSTER_BYTES + SECTOR)
  await device.discard(2 * CLUSTER_BYTES, CLUSTER_BYTES)
  await device.flush()
  const target = new Uint8Array(2 * SECTOR)
  await device.read(target, 0)
  t.ok(Buffer.concat([bytes, bytes]).equals(target))
  back.resolve()
  await Promise.all(missing)
})
