import t from 'tap'
import { complaints, mostBytes } from '../../build/soak.ts'
import { parseOptions } from '../../src/cli/options.ts'

const MEBIBYTE = 2 ** 20

function looks(...mebibytes: readonly number[]) {
  return mebibytes.map((count) => ({ anonymous: count * MEBIBYTE }))
}

t.test('what a soak may take follows from its options', async (t) => {
  const bound = (overlay: string) =>
    mostBytes(parseOptions({ cache: '16M', overlay }, String)) / MEBIBYTE
  t.equal(bound('memory:64M'), 160 + 16 + 64)
  t.equal(bound('none'), 160 + 16)
  t.throws(() => bound('memory'), { message: /size/ })
})

t.test('memory that grows, or is too much from the beginning, is complained of', async (t) => {
  const bound = 240 * MEBIBYTE
  t.strictSame(complaints(looks(90, 100, 100, 100, 120), bound), [])
  t.match(complaints(looks(90, 100, 100, 130, 130), bound), [/30\.0 MiB more in the second half/])
  t.match(complaints(looks(300, 300, 300, 300, 300), bound), [/300\.0 MiB, and 240\.0 MiB is/])
  t.match(complaints(looks(300, 100, 100, 100, 100), bound), [/300\.0 MiB/], 'warming up, too')
})
