import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { BlockSource } from '../../../src/block/source.ts'
import { type FormatOptions, openImage } from '../../../src/format/registry.ts'
import { withEachQemu } from '../../fixtures/oracles.ts'
import type { Qemu } from '../../fixtures/qemu-img.ts'
import { Random } from '../../fuzz/random.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, mapsLike, readAll, readsLike } from '../content.ts'

/**
 * Images of every mix of features, made with qemu-img and qemu-io: version, cluster size,
 * compression, extended L2 entries, backing file, data file, encryption and snapshots, of odd
 * sizes, written to in odd places.
 */
const COUNT = 40
const WRITES = 40
const SECRET = ['--object', 'secret,id=key,data=open sesame']

/** What one image is made of. */
interface Mix {
  readonly name: string
  readonly size: number
  readonly clusterBytes: number
  readonly with: Readonly<Record<string, string | number>>
  readonly backing?: {
    readonly name: string
    readonly format: 'raw' | 'qcow2'
    readonly size: number
  }
  readonly encrypted: boolean
  readonly compresses: boolean
}

function mixOf(seed: number, random: Random): Mix {
  const extended = random.below(3) === 0
  const version2 = !extended && random.below(3) === 0
  const clusterBytes = 2 ** (extended ? 14 + random.below(4) : 9 + random.below(9))
  const dataFile = !version2 && random.below(5) === 0
  const encrypted = !dataFile && random.below(5) === 0
  const backed = !dataFile && random.below(2) === 0
  const size = 512 * (1 + random.below(2000))
  const features = {
    cluster_size: clusterBytes,
    ...(version2 ? { compat: '0.10' } : { compat: '1.1' }),
    ...(extended && { extended_l2: 'on' }),
    ...(!version2 && random.below(2) === 0 && { compression_type: 'zstd' }),
    ...(dataFile && { data_file: `${seed}.data`, data_file_raw: random.pick(['on', 'off']) }),
    ...(encrypted && { 'encrypt.format': 'aes', 'encrypt.key-secret': 'key' }),
  }
  return {
    name: `image-${seed}`,
    size,
    clusterBytes,
    with: features,
    ...(backed && {
      backing: {
        name: `base-${seed}`,
        format: random.pick(['raw', 'qcow2'] as const),
        size: 512 * (1 + random.below(2500)),
      },
    }),
    encrypted,
    compresses: !dataFile && !encrypted,
  }
}

function writes({ size, clusterBytes, compresses }: Mix, random: Random): string[] {
  const cluster = () => {
    const at = Math.floor(random.below(size) / clusterBytes) * clusterBytes
    return `${at} ${Math.min(clusterBytes, size - at)}`
  }
  const anywhere = () => {
    const at = 512 * random.below(size / 512)
    return `${at} ${Math.min(size - at, 512 * (1 + random.below((3 * clusterBytes) / 512)))}`
  }
  const list = Array.from({ length: WRITES }, () => {
    switch (random.below(5)) {
      case 0:
        return [`write -z ${anywhere()}`]
      case 1:
        return [`discard ${cluster()}`]
      case 2: {
        const at = `${Math.floor(random.below(size) / clusterBytes) * clusterBytes} ${clusterBytes}`
        if (!compresses || parseInt(at) + clusterBytes > size) return []
        return [`discard ${at}`, `write -c -P ${1 + random.below(255)} ${at}`]
      }
      default:
        return [`write -P ${1 + random.below(255)} ${anywhere()}`]
    }
  })
  return list.flat()
}

async function make(qemu: Qemu, mix: Mix, random: Random): Promise<void> {
  const { backing } = mix
  if (backing) {
    await writeFile(qemu.path(`${backing.name}.raw`), content(backing.size, mix.size))
    const words = ['-f', 'raw', '-O', backing.format]
    if (backing.format === 'qcow2') await qemu.convert(`${backing.name}.raw`, backing.name, words)
    else await writeFile(qemu.path(backing.name), content(backing.size, mix.size))
  }
  await qemu.create(mix.name, {
    size: mix.size,
    with: mix.with,
    ...(mix.encrypted && { objects: [SECRET[1]!] }),
    ...(backing && { backing: backing.name, backingFormat: backing.format }),
  })
  await write(qemu, mix, writes(mix, random))
}

/** QEMU refuses some of them, such as compressing what is allocated; the others count. */
async function write(qemu: Qemu, mix: Mix, commands: readonly string[]): Promise<void> {
  const options = mix.encrypted ? [...SECRET, '--image-opts'] : ['-f', 'qcow2']
  const image = mix.encrypted ? imageOptions(mix) : mix.name
  await qemu.io(image, commands, [...options, '-d', 'unmap']).catch(() => {})
}

async function snapshot(qemu: Qemu, mix: Mix): Promise<void> {
  if (mix.encrypted)
    await qemu.img('snapshot', ...SECRET, '--image-opts', '-c', 'before', imageOptions(mix))
  else await qemu.img('snapshot', '-c', 'before', mix.name)
}

const imageOptions = ({ name }: Mix) =>
  `driver=qcow2,discard=unmap,file.filename=${name},encrypt.key-secret=key`

/** `undefined` where QEMU has damaged its own image, as 7.2 does with compressed writes. */
async function theirs(qemu: Qemu, mix: Mix): Promise<Buffer | undefined> {
  if (!mix.encrypted) return qemu.disk(mix.name).catch(() => undefined)
  const disk = `${mix.name}.clear`
  await qemu.img('convert', ...SECRET, '--image-opts', imageOptions(mix), '-O', 'raw', disk)
  return qemu.bytes(disk)
}

async function agree(t: Test, image: BlockSource, disk: Buffer | undefined): Promise<void> {
  if (disk) await readsLike(image, disk)
  else await t.rejects(readAll(image), { name: 'ImageInvalid' })
}

async function ours(
  qemu: Qemu,
  { name, backing }: Mix,
  options: FormatOptions,
): Promise<BlockSource> {
  return openImage(new BytesSource(await qemu.bytes(name)), {
    passphrase: async () => Buffer.from('open sesame'),
    decodedBytes: 1 << 20,
    opener: {
      backing: async (name) =>
        openImage(new BytesSource(await qemu.bytes(name)), { format: backing!.format }),
      dataFile: async (name) => new BytesSource(await qemu.bytes(name!)),
    },
    ...options,
  })
}

await withEachQemu(t, async (t, qemu) => {
  for (let seed = 1; seed <= COUNT; seed++) {
    const random = new Random(seed)
    const mix = mixOf(seed, random)
    const name = JSON.stringify({ ...mix.with, backing: mix.backing?.format })
    t.test(`${seed}: ${name}`, async (t) => {
      await make(qemu, mix, random)
      const before = await theirs(qemu, mix)
      const snapshots = !('data_file' in mix.with)
      if (snapshots) {
        await snapshot(qemu, mix)
        await write(qemu, mix, writes(mix, random))
      }
      await using image = await ours(qemu, mix, {})
      await agree(t, image, await theirs(qemu, mix))
      if (!mix.encrypted) await mapsLike(t, image, await qemu.map(mix.name))
      if (!snapshots) return
      await using old = await ours(qemu, mix, { snapshot: 'before' })
      await agree(t, old, before)
    })
  }
})
