import { execFileSync } from 'node:child_process'
import { copyFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { trim } from '../../build/trim.ts'

/** What Node itself answers, in an environment of its own. */
function answers(node: string, expression: string): unknown {
  const script = `process.stdout.write(JSON.stringify(${expression}))`
  return JSON.parse(execFileSync(node, ['--eval', script], { encoding: 'utf8' }))
}

const GERMAN = `new Intl.NumberFormat('de').format(1234.5)`
const UNCHANGED = [
  `new Intl.NumberFormat('en').format(1234.5)`,
  `new Date(0).toLocaleString('en-US', { timeZone: 'Europe/Berlin' })`,
  `['Å', 'ﬁ', '½'].map((text) => text.normalize('NFKD'))`,
  `['a', 'Ä', 'z', 'B'].sort(new Intl.Collator('en').compare)`,
  `/^\\p{Lu}\\p{Script=Greek}$/u.test('ÄΩ')`,
  `new URL('http://BÜCHER.example/ä').href`,
  `['utf-8', 'utf-16le', 'latin1'].map((name) => new TextDecoder(name).decode(new Uint8Array([65, 0])))`,
  `Intl.DateTimeFormat().resolvedOptions().locale`,
  `require('node:crypto').createHash('sha256').update('netcow').digest('hex')`,
  `require('node:zlib').zstdDecompressSync(require('node:zlib').zstdCompressSync('netcow')).toString()`,
]

test('a trimmed Node is smaller by its languages, and is what it was without them', async (t) => {
  const node = join(t.testdir(), 'node')
  copyFileSync(process.execPath, node)
  t.equal(answers(node, GERMAN), '1.234,5', 'before, there is German')
  trim(node)
  t.ok(statSync(process.execPath).size - statSync(node).size > 25e6)
  t.equal(answers(node, GERMAN), '1,234.5', 'after, English stands in for it')
  for (const expression of UNCHANGED) {
    t.same(answers(node, expression), answers(process.execPath, expression), expression)
  }
})

test('addresses stay: code that throws and catches in C++ and in JavaScript still does', async (t) => {
  const node = join(t.testdir(), 'node')
  copyFileSync(process.execPath, node)
  trim(node)
  const expression = `[() => JSON.parse('{'), () => new (require('node:sqlite').DatabaseSync)(':memory:').exec('x')]
    .map((fails) => { try { fails() } catch (error) { return error.message } })`
  t.same(answers(node, expression), answers(process.execPath, expression))
})

test('what cannot be cut is refused, not damaged', async (t) => {
  const file = join(t.testdir({ file: 'no executable' }), 'file')
  t.throws(() => trim(file), /one ICU package/)
})
