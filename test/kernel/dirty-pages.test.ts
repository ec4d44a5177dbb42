import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { limitDirtyPages } from '../../src/kernel/dirty-pages.ts'

function limits(folder: string): readonly string[] {
  return ['dirty_bytes', 'dirty_background_bytes'].map((name) =>
    readFileSync(join(folder, name), 'utf8'),
  )
}

for (const before of ['0', '64000000']) {
  t.test(`dirty pages are limited where the limit was ${before}`, async (t) => {
    const folder = t.testdir({ dirty_bytes: `${before}\n`, dirty_background_bytes: '0\n' })
    limitDirtyPages(32_000_000, folder)
    t.strictSame(limits(folder), ['32000000', '16000000'])
  })
}

t.test('a lower limit of the administrator stays', async (t) => {
  const folder = t.testdir({ dirty_bytes: '0\n', dirty_background_bytes: '0\n' })
  writeFileSync(join(folder, 'dirty_bytes'), '1000000\n')
  limitDirtyPages(32_000_000, folder)
  t.strictSame(limits(folder), ['1000000\n', '0\n'])
})

t.test('a tiny overlay leaves writers enough to go on', async (t) => {
  const folder = t.testdir({ dirty_bytes: '0\n', dirty_background_bytes: '0\n' })
  limitDirtyPages(100, folder)
  t.strictSame(limits(folder), ['1048576', '524288'])
})
