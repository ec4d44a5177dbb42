import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { Qemu } from '../fixtures/qemu-img.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
/** Names the window of a terminal, paints it red, ends the line, and says it in one character. */
const NASTY = '\x1b]0;x\x07\x1b[31m\n\x9b5m'
const CONTROL = /(?!\n)\p{Cc}/u

const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())

async function netcow(...words: string[]) {
  const child = spawn(process.execPath, [MAIN, ...words], { cwd: qemu.folder })
  const texts = Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await once(child, 'close')
  const [stdout, stderr] = await texts
  return { code, stdout, stderr }
}

t.test('the names in an image say nothing to the terminal', async (t) => {
  await qemu.create('data', { format: 'raw', size: '64K' })
  const names = { data_file: `${NASTY}data` }
  await qemu.create('top', { size: '64K', with: names })
  await qemu.io('top', ['write -P 1 0 64k'])
  await qemu.create('snapshots', { size: '64K', backing: 'data', backingFormat: 'raw' })
  await qemu.img('snapshot', '-c', NASTY, 'snapshots')
  await qemu.img('rebase', '-u', '-b', `./${NASTY}`, '-F', 'raw', 'snapshots')
  for (const words of [
    ['info', 'snapshots'],
    ['info', 'top'],
    ['map', 'top', '--backing', 'same-origin'],
  ]) {
    const { code, stdout } = await netcow(...words)
    t.equal(code, 0, words.join(' '))
    t.match(stdout, String.raw`\x1b]0;x\x07\x1b[31m\x0a`)
    t.notMatch(stdout, CONTROL)
  }
})

t.test('nor do those that an image is refused with', async (t) => {
  await qemu.create('unknown', { size: '64K' })
  const image = await qemu.bytes('unknown')
  image[79]! |= 1 << 5
  const at = image.indexOf('lazy refcounts')
  image.set([0, 5], at - 2)
  image.write(NASTY, at, 'latin1')
  await writeFile(qemu.path('unknown'), image)
  for (const command of ['copy', 'map', 'doctor']) {
    const operands = command === 'copy' ? ['unknown', '-'] : ['unknown']
    const { code, stdout, stderr } = await netcow(command, ...operands)
    t.equal(code, 4)
    t.match(`${stdout}${stderr}`, /does not know: .*\[31m.*\(bit 5\)/)
    t.notMatch(`${stdout}${stderr}`, CONTROL)
  }
})
