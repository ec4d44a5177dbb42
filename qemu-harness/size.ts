import { readFile, stat } from 'node:fs/promises'
import { table } from '../build/bench/table.ts'
import { main, parsed } from './command-line.ts'
import { runAsRoot } from './command.ts'
import { makeInitramfs } from './initramfs.ts'
import { type InitramfsKind, RECIPES } from './initramfs-kind.ts'
import { step } from './progress.ts'
import { SUITES } from './tree.ts'
import { openWorkshop } from './workshop.ts'

const HELP = `What netcow adds to an initramfs.

  npm run size                 for each system that makes one, with and without netcow
`

const KINDS: readonly InitramfsKind[] = ['dracut', 'initramfs-tools']

/**
 * $1 is an initramfs, of which the first $2 bytes are not compressed. Prints the bytes of it unpacked and as zstd -19, and the same without what is
 * there for netcow: its own files, the nbd driver, and the libraries of C++ that it is linked with.
 */
const MEASURE = `
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
head -c "$2" "$1" >"$work/cpio"
[ ! -s "$work/cpio" ] || (cd "$work/tree" && cpio --quiet -idm --no-absolute-filenames <"$work/cpio")
tail -c +"$(($2 + 1))" "$1" | zstd -dcq >"$work/cpio"
(cd "$work/tree" && cpio --quiet -idm --no-absolute-filenames <"$work/cpio")
pack() {
  (cd "$work/tree" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc) >"$work/cpio"
  wc -c <"$work/cpio"
  zstd -19 -T0 -cq "$work/cpio" | wc -c
}
pack
find "$work/tree" \\( -name '*netcow*' -o -name 'nbd.ko*' -o -name 'libstdc++.so*' \\
  -o -name 'libatomic.so*' \\) -prune -exec rm -rf {} +
pack
`

async function size(): Promise<number> {
  const { values } = parsed({ help: { type: 'boolean' } }, false)
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const { cache, netcow } = await openWorkshop()
  const rows: string[][] = []
  for (const suite of SUITES) {
    for (const kind of KINDS) {
      const name = `${suite}, ${RECIPES[kind].system}`
      const { initramfs } = await makeInitramfs(cache, suite, kind, netcow)
      const plain = plainBytes(await readFile(initramfs))
      const measure = () => runAsRoot(['sh', '-c', MEASURE, 'sh', initramfs, `${plain}`])
      const numbers = (await step(`Measure ${name}`, measure)).trim().split(/\s+/).map(Number)
      const [unpacked = 0, packed = 0, bareUnpacked = 0, bare = 0] = numbers
      const differences = [packed, bare, packed - bare, unpacked, unpacked - bareUnpacked]
      rows.push([name, ...differences.map(inMebibytes)])
      console.error(rows.at(-1)?.join(', '))
    }
  }
  const head = ['initramfs', 'zstd -19', 'without', 'netcow', 'unpacked', 'netcow unpacked']
  const executable = inMebibytes((await stat(netcow.executable)).size)
  process.stdout.write(`${table(head, rows)}\n\nThe executable has ${executable}.\n`)
  return 0
}

/**
 * How much of an initramfs is a plain archive before the packed one: what is packed already, such as
 * modules, comes first, not to be packed again (initramfs-tools of Debian 13), or microcode.
 */
function plainBytes(initramfs: Buffer): number {
  const field = (at: number) => Number.parseInt(initramfs.toString('latin1', at, at + 8), 16)
  const aligned = (at: number) => Math.ceil(at / 4) * 4
  let at = 0
  // A header of cpio's newc format: 110 bytes of digits, then the name and the content.
  while (initramfs.toString('latin1', at, at + 6) === '070701') {
    const [contentBytes, nameBytes] = [field(at + 54), field(at + 94)]
    at = aligned(aligned(at + 110 + nameBytes) + contentBytes)
    while (initramfs[at] === 0) at++
  }
  return at
}

function inMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}

await main(size)
