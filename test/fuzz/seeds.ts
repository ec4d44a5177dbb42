import { writeFile } from 'node:fs/promises'
import { content } from '../format/content.ts'
import type { Qemu } from '../fixtures/qemu-img.ts'

const DISK_BYTES = 300 * 1024
export const PASSPHRASE = 'open sesame'
const SECRET = ['--object', `secret,id=key,data=${PASSPHRASE}`]

/** Real images, small, with everything that the format has. */
export async function makeSeeds(qemu: Qemu): Promise<ReadonlyMap<string, Uint8Array>> {
  await writeFile(qemu.path('disk'), content(DISK_BYTES, 3))
  // Side by side with the others: QEMU takes seconds to measure its key derivation.
  const encrypted = Promise.all([
    encrypt(qemu, 'luks', {
      'encrypt.format': 'luks',
      'encrypt.cipher-alg': 'aes-128', // half the header
      'encrypt.iter-time': 10,
    }),
    encrypt(qemu, 'aes', { 'encrypt.format': 'aes' }),
  ])
  const small = { cluster_size: 512 }
  await convert(qemu, 'v2', { compat: '0.10', cluster_size: 4096 })
  await convert(qemu, 'v3', { cluster_size: 65536 })
  await convert(qemu, 'tiny', small)
  await convert(qemu, 'zlib', { cluster_size: 4096 }, '-c')
  await convert(qemu, 'zstd', { cluster_size: 16384, compression_type: 'zstd' }, '-c')
  await convert(qemu, 'zlib-64k', {}, '-c')
  await convert(qemu, 'zstd-2m', { cluster_size: 2 ** 21, compression_type: 'zstd' }, '-c')
  await qemu.create('extended', { size: '1M', with: { extended_l2: 'on', cluster_size: 16384 } })
  const writes = [
    'write -P 1 3k 5k',
    'write -z 40k 9k',
    'write -c -P 2 64k 16k',
    'write -P 3 99k 40k',
  ]
  await qemu.io('extended', writes)
  await qemu.create('snapshot', { size: '200k', with: small })
  await qemu.io('snapshot', ['write -P 1 0 50k', 'write -z 60k 10k'])
  await qemu.img('snapshot', '-c', 'first', 'snapshot')
  await qemu.io('snapshot', ['write -P 2 20k 50k'])
  await qemu.create('chain', { size: '400k', backing: 'v2', backingFormat: 'qcow2', with: small })
  await qemu.io('chain', ['write -P 4 10k 20k'])
  await qemu.create('data', { size: '1M', with: { data_file: 'file', cluster_size: 4096 } })
  await qemu.io('data', ['write -P 4 10k 20k', 'write -z 40k 9k'])
  await qemu.img('bitmap', '--add', 'v3', 'bitmap')
  await encrypted
  const names = ['v2', 'v3', 'tiny', 'zlib', 'zstd', 'zlib-64k', 'zstd-2m', 'extended', 'snapshot']
  const seeds = new Map<string, Uint8Array>()
  for (const name of [...names, 'chain', 'data', 'luks', 'aes', 'file'])
    seeds.set(name, await qemu.bytes(name))
  return seeds
}

async function encrypt(qemu: Qemu, name: string, options: Record<string, string | number>) {
  const all = { ...options, 'encrypt.key-secret': 'key', cluster_size: 4096 }
  await qemu.create(name, { size: DISK_BYTES, with: all, objects: [SECRET[1]!] })
  const words = [...SECRET, '-f', 'raw', '-n', '--target-image-opts']
  await qemu.img('convert', ...words, 'disk', encryptedOptions(name))
}

function encryptedOptions(name: string): string {
  return `driver=qcow2,file.filename=${name},encrypt.key-secret=key`
}

/** What qemu-img needs to know to read the damaged seed `seed`, which is in the file `name`. */
export function readingOptions(seed: string, name: string): readonly string[] {
  const encrypted = seed === 'luks' || seed === 'aes'
  return encrypted ? [...SECRET, '--image-opts', encryptedOptions(name)] : ['-f', 'qcow2', name]
}

async function convert(qemu: Qemu, name: string, options: object, ...flags: string[]) {
  const list = Object.entries(options).map(([key, value]) => `${key}=${value}`)
  const words = list.length > 0 ? ['-o', list.join(',')] : []
  await qemu.convert('disk', name, [...flags, '-f', 'raw', '-O', 'qcow2', ...words])
}
