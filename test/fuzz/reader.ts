import { createHash } from 'node:crypto'
import { ImageInvalid, ImageUnsupported, UsageError } from '../../src/errors.ts'
import { mapImage } from '../../src/format/map.ts'
import { check, describe, explain, openImage } from '../../src/format/registry.ts'
import { BytesSource } from '../format/bytes-source.ts'
import { PASSPHRASE } from './seeds.ts'

/** One image to read, and what the names in it lead to. */
export interface Case {
  readonly image: Uint8Array
  readonly backing: Uint8Array
  readonly file: Uint8Array
  readonly snapshot: boolean
}
export interface Outcome {
  /** `bytes`, or the class of the error that the image ended in. */
  readonly end: string
  readonly message: string
  /** SHA-256 of the disk, if it is small enough to be read whole. */
  readonly digest?: string
  readonly size: number
  /** What the image took of all processors together. */
  readonly processorMs: number
  /** The most memory that this process ever had, in bytes. */
  readonly peakBytes: number
}

const WHOLE_BYTES = 32 * 2 ** 20
const STEP_BYTES = 1 << 20
const SAMPLES = 16

/** A process of its own, so that its memory can be measured and a hang can be ended. */
process.on('message', (message: Case) => {
  void run(message).then((outcome) => {
    process.send?.(outcome)
    globalThis.gc?.()
  })
})

async function run(message: Case): Promise<Outcome> {
  const begin = process.cpuUsage()
  const read = await ending(() => disk(message))
  const source = new BytesSource(message.image)
  // These have their own ways through the tables, and may end in the same two errors.
  const others = [
    await ending(() => describe(source)),
    await ending(() => explain(source, 70_000, {})),
    await ending(() => check(source, { refcounts: true })),
  ]
  const wrong = others.find(
    ({ end }) => !['bytes', 'ImageInvalid', 'ImageUnsupported'].includes(end),
  )
  const { user, system } = process.cpuUsage(begin)
  const { end, message: told, value } = wrong ? { ...wrong, value: undefined } : read
  return {
    end,
    message: told,
    size: value?.size ?? 0,
    ...(value?.digest !== undefined && { digest: value.digest }),
    processorMs: (user + system) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }
}

async function ending<T>(
  task: () => Promise<T>,
): Promise<{ end: string; message: string; value?: T }> {
  try {
    return { end: 'bytes', message: '', value: await task() }
  } catch (error) {
    if (error instanceof ImageInvalid || error instanceof ImageUnsupported)
      return { end: error.name, message: error.line }
    // The snapshot that was asked for has lost its name.
    if (error instanceof UsageError) return { end: 'ImageInvalid', message: error.line }
    if (error instanceof Error) return { end: error.name, message: error.stack ?? error.message }
    return { end: 'something else', message: String(error) }
  }
}

async function disk({ image, backing, file, snapshot }: Case) {
  await using opened = await openImage(new BytesSource(image), {
    decodedBytes: 8 * 2 ** 20,
    tableBytes: 2 ** 20,
    ...(snapshot && { snapshot: '1' }),
    passphrase: async (refused) => (refused === 0 ? Buffer.from(PASSPHRASE) : undefined),
    opener: {
      backing: () => openImage(new BytesSource(backing), {}),
      dataFile: async () => new BytesSource(file),
    },
  })
  const { size } = opened
  if (size > WHOLE_BYTES) {
    for (let i = 0; i < SAMPLES; i++) {
      const at = Math.floor(((size - 512) / (SAMPLES - 1)) * i)
      await opened.read(new Uint8Array(512), at)
      await opened.extent(at, size - at)
    }
    return { size }
  }
  const digest = createHash('sha256')
  for (let at = 0; at < size; at += STEP_BYTES) {
    const part = new Uint8Array(Math.min(STEP_BYTES, size - at))
    await opened.read(part, at)
    // QEMU knows whole sectors only, and leaves out what is behind them.
    digest.update(part.subarray(0, part.length - (part.length % 512)))
  }
  let end = 0
  for await (const entry of mapImage(opened)) end = entry.start + entry.length
  if (end !== size) throw new Error(`the map ends at ${end} instead of ${size}`)
  return { size, digest: digest.digest('hex') }
}
