import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Qemu } from '../fixtures/qemu-img.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const KIB = 1024

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await qemu.create('base', { size: 1024 * KIB })
await qemu.io('base', ['write -P 1 0 128k'])
await qemu.create('middle', { size: 2048 * KIB, backing: 'base', backingFormat: 'qcow2' })
await qemu.io('middle', ['write -P 2 512k 64k'])
await qemu.create('top', { size: 3072 * KIB, backing: 'middle', backingFormat: 'qcow2' })

const netcow = (...words: string[]) =>
  promisify(execFile)(process.execPath, [MAIN, ...words], { cwd: qemu.folder })

t.test('info tells of every image of a chain, as qemu-img does', async (t) => {
  const { stdout } = await netcow(
    'info',
    '--json',
    '--backing-chain',
    '--backing',
    'same-origin',
    'top',
  )
  const ours: { 'virtual-size': number; 'backing-filename'?: string }[] = JSON.parse(stdout)
  const words = ['info', '--output=json', '--backing-chain', 'top']
  const theirs: typeof ours = JSON.parse(await qemu.img(...words))
  const keys = (list: typeof ours) =>
    list.map((entry) => [entry['virtual-size'], entry['backing-filename']])
  t.strictSame(keys(ours), keys(theirs))
})

t.test('info says what the name of a backing file means from here, as qemu-img does', async (t) => {
  await qemu.create('by-path', { size: 4096, backing: qemu.path('base'), backingFormat: 'qcow2' })
  await qemu.img('rebase', '-u', '-f', 'qcow2', '-b', './base', '-F', 'qcow2', 'middle')
  for (const name of ['top', `./top`, qemu.path('top'), qemu.path('middle'), 'by-path']) {
    const { stdout } = await netcow('info', '--json', name)
    const theirs = await qemu.info(name)
    t.match(JSON.parse(stdout), { 'full-backing-filename': theirs['full-backing-filename'] }, name)
    const line = /^backing file: .*$/m
    const [human] = line.exec(await qemu.img('info', name)) ?? []
    t.equal(line.exec((await netcow('info', name)).stdout)?.[0], human, name)
  }
})

t.test('map knows the holes of raw files, as qemu-img does', async (t) => {
  await qemu.create('raw', { format: 'raw', size: 2048 * KIB })
  await qemu.io('raw', ['write -P 1 256k 64k', 'write -P 1 1984k 64k'], ['-f', 'raw'])
  await qemu.create('on-raw', { backing: 'raw', backingFormat: 'raw' })
  await qemu.io('on-raw', ['write -P 2 1000k 100k'])
  for (const words of [
    ['raw', '--format', 'raw'],
    ['on-raw', '--backing', 'raw'],
  ]) {
    const [name = ''] = words
    const { stdout } = await netcow('map', '--json', ...words)
    const theirs = await qemu.map(name, name === 'raw' ? 'raw' : 'qcow2')
    const told = ({ compressed: _since, ...entry }: (typeof theirs)[0]) => entry
    t.strictSame(JSON.parse(stdout).map(told), theirs.map(told), name)
  }
})

t.test('a backing file whose format is `file` is raw, as it is for QEMU', async (t) => {
  await qemu.create('bytes', { format: 'raw', size: 1024 * KIB })
  await qemu.io('bytes', ['write -P 1 256k 64k'], ['-f', 'raw'])
  await qemu.create('on-bytes', { backing: 'bytes', backingFormat: 'file' })
  await netcow('copy', '--backing', 'same-origin', 'on-bytes', 'copied')
  await qemu.img('compare', '-f', 'raw', '-F', 'qcow2', 'copied', 'on-bytes')
  t.pass('they are the same')
})

t.test('map says which file has what, as qemu-img does', async (t) => {
  await qemu.create('external', { size: '1M', with: { data_file: 'clusters' } })
  await qemu.io('external', ['write 0 64k', 'write 512k 64k'])
  for (const name of ['top', qemu.path('external'), 'base']) {
    const { stdout } = await netcow('map', '--backing', 'same-origin', name)
    // Beside the image is what a name leads to when links are resolved; QEMU has it as it stands.
    const plain = (text: string) => text.replaceAll(/\S*\/| +$/gm, '')
    t.equal(plain(stdout), plain(await qemu.img('map', name)))
  }
})

t.test('without leave it says what lies below', async (t) => {
  await t.rejects(netcow('info', '--backing-chain', 'top'), {
    code: 2,
    stderr: /"middle".*--backing/,
  })
})

t.test('map --offset goes on in the image below', async (t) => {
  const map = await qemu.map('top')
  for (const offset of [70 * KIB, 520 * KIB, 1500 * KIB, 2600 * KIB]) {
    const words = ['--json', '--offset', String(offset), '--backing', 'same-origin', 'top']
    const { result } = JSON.parse((await netcow('map', ...words)).stdout)
    const entry = map.find(({ start, length }) => offset >= start && offset < start + length)!
    const place = entry.offset === undefined ? undefined : entry.offset + offset - entry.start
    t.equal(result.offset, place, `${offset}`)
    t.equal(result.kind, place === undefined ? 'hole' : 'data')
  }
})
