import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { mapsLike, readsLike } from '../content.ts'

const CLUSTERS = 24
const SUBCLUSTERS = 32
const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

/** Reproducible numbers below `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

function commands(clusterBytes: number, seed: number, size: number): string[] {
  const random = numbers(seed)
  const unit = clusterBytes / SUBCLUSTERS
  // A compressed cluster cannot take the place of another one: it is discarded first.
  return Array.from({ length: 60 }, () => {
    const offset = random(size / unit) * unit
    const length = Math.min(size - offset, unit * (1 + random(40)))
    const at = `${Math.floor(offset / clusterBytes) * clusterBytes} ${clusterBytes}`
    switch (random(5)) {
      case 0:
        return `write -z ${offset} ${length}`
      case 1:
        return `write -z -u ${at}`
      case 2:
        return [`discard ${at}`, `write -c -P ${1 + random(255)} ${at}`]
      case 3:
        return `discard ${at}`
      default:
        return `write -P ${1 + random(255)} ${offset} ${length}`
    }
  }).flat()
}

for (const clusterBytes of [16384, 65536, 2 ** 21])
  for (const seed of [1, 2, 3])
    t.test(`extended L2 entries, ${clusterBytes} bytes, ${seed}`, async (t) => {
      const name = `x-${clusterBytes}-${seed}`
      const size = CLUSTERS * clusterBytes
      await qemu.create(name, { size, with: { extended_l2: 'on', cluster_size: clusterBytes } })
      await qemu.io(name, commands(clusterBytes, seed, size), ['-f', 'qcow2', '-d', 'unmap'])
      await using image = await openImage(new BytesSource(await qemu.bytes(name)), {})
      await readsLike(image, await qemu.disk(name))
      await mapsLike(t, image, await qemu.map(name))
    })
