import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Qemu } from '../fixtures/qemu-img.ts'

const PASSPHRASE = 'grüne Wiese'
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const CTRL_C = '\x03'
const BACKSPACE = '\x7f'

t.setTimeout(120_000)
const qemu = await Qemu.open()
t.teardown(() => qemu[Symbol.asyncDispose]())
await qemu.create('secret', {
  size: '1M',
  with: { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key', 'encrypt.iter-time': 10 },
  objects: [`secret,id=key,data=${PASSPHRASE}`],
})
await qemu.create('clear', { size: '1M' })

/** Runs netcow copy on a terminal of its own, and types an answer whenever it is asked. */
async function copied(t: Test, image: string, answers: readonly string[], options = '') {
  const node = JSON.stringify(process.execPath)
  const netcow = `${node} ${JSON.stringify(MAIN)} copy ${options} ${image} ${image}.raw`
  const command = `${netcow}; code=$?; stty -a; exit $code`
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: qemu.folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let screen = ''
  let asked = 0
  child.stdout.on('data', (bytes: Buffer) => {
    screen += bytes.toString()
    const questions = screen.split(`Passphrase for ${image}: `).length - 1
    while (asked < questions) child.stdin.write(answers[asked++] ?? CTRL_C)
  })
  const [code] = await once(child, 'close')
  t.match(screen, /[^-]\becho\b/, 'the terminal shows again what is typed')
  t.match(screen, /[^-]\bicanon\b/)
  t.notMatch(screen, PASSPHRASE, 'and has not shown the passphrase')
  return { code, asked, screen }
}

t.test('on a terminal the passphrase is asked for, and may be typed wrong twice', async (t) => {
  const almost = `${PASSPHRASE.slice(0, -1)}ü${BACKSPACE}e\r`
  const { code, asked } = await copied(t, 'secret', ['wrong\r', '\r', almost])
  t.equal(asked, 3)
  t.equal(code, 0)
  t.strictSame(await readFile(qemu.path('secret.raw')), Buffer.alloc(2 ** 20))
})

t.test('the third wrong answer is the last', async (t) => {
  const { code, asked, screen } = await copied(t, 'secret', ['1\r', '2\r', '3\r'])
  t.equal(asked, 3)
  t.equal(code, 2)
  t.match(screen, 'none of the LUKS key slots')
})

t.test('Ctrl-C ends it', async (t) => {
  const { code, asked } = await copied(t, 'secret', [`half${CTRL_C}`])
  t.equal(asked, 1)
  t.equal(code, 2)
})

t.test('nobody is asked for an image that is not encrypted, or by a file', async (t) => {
  const { code, asked } = await copied(t, 'clear', [])
  t.equal(asked, 0)
  t.equal(code, 0)
  await writeFile(qemu.path('key'), `${PASSPHRASE}\n`)
  const named = await copied(t, 'secret', [], '--luks-key-file key')
  t.equal(named.asked, 0)
  t.equal(named.code, 0)
})

t.test('a file holds the passphrase with its newline, as QEMU reads it, or without', async (t) => {
  await writeFile(qemu.path('line'), 'a line\n')
  await qemu.create('with-newline', {
    size: '1M',
    with: { 'encrypt.format': 'luks', 'encrypt.key-secret': 'key', 'encrypt.iter-time': 10 },
    objects: ['secret,id=key,file=line'],
  })
  t.equal((await copied(t, 'with-newline', [], '--luks-key-file line')).code, 0)
  await writeFile(qemu.path('other'), 'another line\n')
  const { code, screen } = await copied(t, 'with-newline', [], '--luks-key-file other')
  t.equal(code, 2)
  t.match(screen, 'none of the LUKS key slots')
})
