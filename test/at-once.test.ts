import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { FormatName } from '../src/format/registry.ts'
import type { DevicePlan } from '../src/plan.ts'
import { openForUse } from '../src/stack.ts'
import { patterned } from './fixtures/bytes.ts'
import { PLAIN_HTTP } from './fixtures/http-options.ts'

/** The whole stack answers without a promise where nothing has to be waited for. */

const MEBIBYTE = 2 ** 20
const content = patterned(MEBIBYTE)
const directory = t.testdir()
const raw = join(directory, 'image.raw')
writeFileSync(raw, content)

function converted(name: string, ...options: string[]): string {
  const path = join(directory, name)
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, path])
  return path
}

function plan(path: string, format: FormatName): DevicePlan {
  return {
    image: { kind: 'file', path },
    format,
    offset: 0,
    http: PLAIN_HTTP,
    cacheBytes: 4 * MEBIBYTE,
    openMs: 0,
    backing: [],
    allowCorrupt: false,
    overlay: { kind: 'memory', limitBytes: MEBIBYTE },
    readOnly: false,
    sectorBytes: 512,
    whenFull: 'fail',
  }
}

for (const [kind, path, format] of [
  ['raw image', raw, 'raw'],
  ['plain QCOW2', converted('plain.qcow2'), 'qcow2'],
  ['compressed QCOW2 whose cluster is remembered', converted('zlib.qcow2', '-c'), 'qcow2'],
] as const) {
  t.test(`a ${kind}, below an overlay`, async (t) => {
    const served = await openForUse(plan(path, format), () => {})
    await using _source = served.source
    if (served.access !== 'read-write') throw new Error('it is to be written')
    const device = served.source
    const target = new Uint8Array(4096)
    await device.read(target, 8192)
    t.equal(device.read(target, 12_288), undefined, 'read from the image')
    t.strictSame(target, content.subarray(12_288, 16_384))
    t.equal(device.write(patterned(4096, 7), 12_288), undefined, 'written')
    t.equal(device.read(target, 12_288), undefined, 'read from the overlay')
    t.strictSame(target, patterned(4096, 7))
  })
}
