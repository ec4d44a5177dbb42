import { execFileSync } from 'node:child_process'
import t from 'tap'
import { archive, padded } from '../../qemu-harness/archive.ts'

const FILES = [
  { path: 'usr/lib/one', content: Buffer.from('1') },
  { path: 'usr/lib/deep/er/two', content: Buffer.from('four') },
  { path: 'empty', content: Buffer.alloc(0) },
]

t.test('cpio lists the directories, then the files', (t) => {
  const directories = ['usr', 'usr/lib']
  const listed = execFileSync('cpio', ['--list', '--quiet'], { input: archive(directories, FILES) })
  const files = ['usr/lib/one', 'usr/lib/deep/er/two', 'empty']
  t.strictSame(listed.toString().trimEnd().split('\n'), [...directories, ...files])
  t.end()
})

t.test('cpio reads a file back', (t) => {
  const read = execFileSync('cpio', ['--extract', '--quiet', '--to-stdout', '*/two'], {
    input: archive([], FILES),
  })
  t.equal(read.toString(), 'four')
  t.end()
})

t.test('another archive may follow what is padded', (t) => {
  for (let length = 0; length < 6; length++) {
    t.equal(padded(Buffer.alloc(length)).length % 4, 0)
    t.ok(padded(Buffer.alloc(length)).length < length + 4)
  }
  t.equal(archive([], FILES).length % 4, 0)
  t.end()
})
