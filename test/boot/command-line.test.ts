import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { bootCommandLine } from '../../src/boot/command-line.ts'
import { parseBootWords } from '../../src/cli/words.ts'

/** A root directory with these files. */
function tree(directory: string, files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
  return directory
}

t.test('words that dracut put into the initramfs count, and later ones win', async (t) => {
  const root = tree(t.testdir(), {
    'etc/cmdline.d/01-default.conf': 'rd.netcow=http://a/b rd.netcow.cache=8M',
    'etc/cmdline.d/00-first.conf': 'rd.netcow.cache=4M rd.netcow.timeout=5',
    'etc/cmdline.d/notes': 'rd.netcow.timeout=6',
    'etc/cmdline': 'root=LABEL=made\n',
    'proc/cmdline': 'quiet rd.netcow.cache=16M root=LABEL=told\n',
    'run/initramfs/cmdline.d/x.conf': 'root=LABEL=found',
  })
  const line = bootCommandLine(root)
  t.match(parseBootWords(line), {
    image: 'http://a/b',
    findsRoot: false,
    options: { cache: '16M', timeout: '5' },
  })
  t.match(line, /LABEL=made[^]*LABEL=told[^]*LABEL=found/)
})

t.test('elsewhere it is the line of the kernel', async (t) => {
  const root = tree(t.testdir(), { 'proc/cmdline': 'root=netcow:http://a/b quiet\n' })
  t.equal(bootCommandLine(root), 'root=netcow:http://a/b quiet\n')
})
