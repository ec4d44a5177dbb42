import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'

import { openImage } from '../../../src/format/registry.ts'
import { conforms } from '../../fixtures/conformance.ts'
import { withEachQemu } from '../../fixtures/oracles.ts'
import type { Qemu } from '../../fixtures/qemu-img.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, mapsLike, readsLike } from '../content.ts'

const DISK_BYTES = 3 * 2 ** 20 + 512 * 3
const CLUSTER_BYTES = [512, 4096, 65536, 2 ** 21]
const COMPAT = ['0.10', '1.1']
const KINDS = {
  plain: { with: {}, flags: [] },
  zlib: { with: {}, flags: ['-c'] },
  zstd: { with: { compression_type: 'zstd' }, flags: ['-c'] },
}

/** Plain, zero with and without an offset, discarded and compressed clusters side by side. */
async function mix(qemu: Qemu, name: string, clusterBytes: number, zeroes: boolean): Promise<void> {
  const at = (cluster: number) => `${cluster * clusterBytes} ${clusterBytes}`
  const commands = [`write -P 1 ${at(0)}`, `write -P 2 ${at(1)}`, `write -P 3 ${at(3)}`]
  commands.push(`write -c -P 4 ${at(4)}`, `write -c -P 5 ${at(5)}`, `discard ${at(1)}`)
  if (zeroes) commands.push(`write -z ${at(3)}`, `write -z -u ${at(0)}`, `write -z ${at(7)}`)
  await qemu.io(name, commands, ['-f', 'qcow2', '-d', 'unmap'])
}

async function agrees(t: Test, qemu: Qemu, name: string): Promise<void> {
  await using image = await openImage(new BytesSource(await qemu.bytes(name)), {})
  await readsLike(image, await qemu.disk(name))
  await mapsLike(t, image, await qemu.map(name))
}

await withEachQemu(t, async (t, qemu) => {
  await writeFile(qemu.path('disk'), content(DISK_BYTES))
  await writeFile(qemu.path('small'), content(64 * 1024))
  converted(t, qemu)
  mixed(t, qemu)
  await conforming(t, qemu)
})

/** Whole disks, as qemu-img convert writes them. */
function converted(t: Test, qemu: Qemu): void {
  for (const compat of COMPAT)
    for (const clusterBytes of CLUSTER_BYTES)
      for (const [kind, options] of Object.entries(KINDS)) {
        if (kind === 'zstd' && compat === '0.10') continue
        const name = `${kind}-${compat}-${clusterBytes}`
        t.test(name, async (t) => {
          const words = Object.entries({ compat, cluster_size: clusterBytes, ...options.with })
          const list = words.map(([key, value]) => `${key}=${value}`).join(',')
          await qemu.convert('disk', name, [
            ...options.flags,
            '-f',
            'raw',
            '-O',
            'qcow2',
            '-o',
            list,
          ])
          await agrees(t, qemu, name)
        })
      }
}

function mixed(t: Test, qemu: Qemu): void {
  for (const compat of COMPAT)
    for (const clusterBytes of CLUSTER_BYTES)
      t.test(`mixed-${compat}-${clusterBytes}`, async (t) => {
        const name = `mixed-${compat}-${clusterBytes}`
        const size = clusterBytes * 9 + 512
        await qemu.create(name, { size, with: { compat, cluster_size: clusterBytes } })
        await mix(qemu, name, clusterBytes, compat === '1.1')
        await agrees(t, qemu, name)
      })
}

async function conforming(t: Test, qemu: Qemu): Promise<void> {
  for (const [kind, options] of Object.entries(KINDS)) {
    const name = `${kind}-conforms`
    const list = Object.entries({ cluster_size: 4096, ...options.with })
    const words = list.map(([key, value]) => `${key}=${value}`).join(',')
    await qemu.convert('small', name, [...options.flags, '-f', 'raw', '-O', 'qcow2', '-o', words])
    const image = await qemu.bytes(name)
    conforms(t, `qcow2 ${kind}`, new Uint8Array(await qemu.bytes('small')), () =>
      openImage(new BytesSource(image), {}),
    )
  }
}
