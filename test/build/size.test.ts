import { execFileSync } from 'node:child_process'
import { test } from 'tap'
import { build } from '../../build/build.ts'

/** What the initramfs may grow by, packed as small as initramfs makers do: with zstd -19. */
const MOST_BYTES = 32 * 2 ** 20

/** Libraries that an initramfs has for the sake of netcow alone. */
function ownLibraries(executable: string): string[] {
  const text = execFileSync('ldd', [executable], { encoding: 'utf8' })
  return [...text.matchAll(/(?:libstdc\+\+|libatomic)\.so\S* => (\S+)/g)].map(([, path]) => path!)
}

// Level 9 packs less well than 19 and takes seconds.
test('an initramfs grows by no more than 32 MiB', async (t) => {
  const executable = await build()
  const files = [executable, ...ownLibraries(executable)]
  t.equal(files.length, 3)
  const script = 'cat "$@" | zstd -9 -T0 -cq | wc -c'
  const packed = Number(execFileSync('sh', ['-c', script, 'sh', ...files], { encoding: 'utf8' }))
  t.ok(packed < MOST_BYTES, `${packed} bytes`)
})
