import { execFileSync, spawnSync } from 'node:child_process'
import t from 'tap'
import { manualPages } from '../../build/manual.ts'
import { OPTIONS } from '../../src/cli/options.ts'
import { COMMANDS } from '../../src/cli/tool.ts'

const pages = await manualPages('1.2.3')

for (const [name, text] of pages) {
  t.test(`${name} is set by groff without a warning`, async (t) => {
    const { status, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], { input: text })
    t.equal(status, 0)
    t.equal(stderr.toString(), '')
  })
}

t.test('every command has a page, which says what the command is for', async (t) => {
  for (const name of [...Object.keys(COMMANDS), 'boot']) {
    const [, text = ''] = pages.find(([page]) => page === `netcow-${name}.1`) ?? []
    const seen = execFileSync('groff', ['-man', '-Tascii', '-P-cbou'], { input: text }).toString()
    t.match(seen, new RegExp(`netcow-${name} +- +\\w`))
    t.match(seen, /DESCRIPTION\n {7}\S/, name)
    t.match(seen, /--log LEVEL\n {14}error, warn, info or debug/, name)
  }
})

t.test('every option is in a page as it is typed', async (t) => {
  const all = pages.map(([, text]) => text).join('')
  for (const name of Object.keys(OPTIONS)) {
    // That one is between a keeper and its daemons.
    if (name === 'pause') continue
    const typed = name.replaceAll('-', '\\-')
    t.ok(all.includes(`\\-\\-${typed}`) || all.includes(`rd.netcow.${typed}=`), name)
  }
})

t.test(
  'what options mean elsewhere is not said of the kernel command line, nor of commands',
  async (t) => {
    const page = (name: string) => pages.find(([each]) => each === name)?.[1] ?? ''
    t.match(page('netcow.cmdline.7'), /rd\.netcow\.overlay=memory.*DISK.*\n.*half of RAM/)
    t.match(page('netcow.cmdline.7'), /rd\.netcow\.timeout=.*\n.*default: never/)
    t.match(page('netcow-attach.1'), /timeout .*\n.*default: for ever/)
    t.match(page('netcow-copy.1'), /timeout .*\n.*default 30/)
    t.match(page('netcow-map.1'), /offset N\n.*byte of the guest/)
    for (const [name, text] of pages) t.notMatch(text, /for map:/, name)
  },
)
