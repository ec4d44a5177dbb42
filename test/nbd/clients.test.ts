import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { patterned } from '../fixtures/bytes.ts'
import { withEachQemu } from '../fixtures/oracles.ts'
import type { Qemu } from '../fixtures/qemu-img.ts'

/** Clients that nobody here wrote, of both releases of Debian, and qemu-nbd to compare with. */

const MIB = 1 << 20
const MAIN = join(import.meta.dirname, '../../src/main.ts')

/** Serves an image of the folder until the test is over; the address is as the tools see it. */
async function serve(t: Test, qemu: Qemu, image: string, ...words: string[]): Promise<string> {
  const socket = `${Math.random().toString(36).slice(2)}.sock`
  const argv = [MAIN, 'serve', qemu.path(image), '--socket', qemu.path(socket), '--log', 'info']
  const child = spawn(process.execPath, [...argv, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill())
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('serving')) resolve()
    })
    child.on('exit', () => reject(new Error(said)))
  })
  return `nbd+unix:///?socket=${socket}`
}

/** A chain with data, zeroes and holes in either layer. */
async function makeChain(qemu: Qemu): Promise<void> {
  const disk = Buffer.from(patterned(8 * MIB))
  disk.fill(0, 3 * MIB, 5 * MIB)
  await writeFile(qemu.path('disk'), disk)
  await qemu.convert('disk', 'base', ['-f', 'raw', '-O', 'qcow2'])
  await qemu.create('top', { backing: 'base', backingFormat: 'qcow2' })
  const commands = ['write -P 3 1M 64k', 'write -z 7M 128k', 'write -P 5 4M 64k']
  await qemu.io('top', commands, ['-f', 'qcow2'])
  await qemu.convert('top', 'expected', ['-f', 'qcow2', '-O', 'raw'])
}
const CHAIN = ['--backing', 'same-origin']

/** Whether the release has libnbd with extended headers, and nbdsh. */
async function isNewer(qemu: Qemu): Promise<boolean> {
  return (await qemu.version()) >= 10
}

/** What is tried with the tools of each release. */
const cases = new Map<string, (t: Test, qemu: Qemu) => Promise<void>>()

cases.set('nbdinfo tells what is there', async (t, qemu) => {
  const newer = await isNewer(qemu)
  const uri = await serve(t, qemu, 'top', ...CHAIN, '--description', 'of the tests')
  const writable = await serve(t, qemu, 'top', ...CHAIN, '--overlay', 'memory:16M')
  const told = JSON.parse(await qemu.tool('nbdinfo', ['--json', uri]))
  t.match(told, {
    protocol: 'newstyle-fixed',
    structured: true,
    ...(newer ? { extended: true } : {}),
    exports: [
      {
        'export-size': 8 * MIB,
        contexts: ['base:allocation', 'qemu:allocation-depth'],
        is_read_only: true,
        can_cache: true,
        can_df: true,
        can_flush: true,
        can_fua: true,
        can_multi_conn: true,
        can_trim: false,
        can_zero: false,
        ...(newer ? { can_block_status_payload: true } : {}),
      },
    ],
  })
  t.match(await qemu.tool('nbdinfo', ['--list', uri]), /description: of the tests/)
  for (const what of ['write', 'trim', 'zero', 'fast-zero', 'cache', 'df', 'multi-conn'])
    await t.resolves(qemu.tool('nbdinfo', ['--can', what, writable]), what)
  await t.rejects(qemu.tool('nbdinfo', ['--can', 'write', uri]))
})

cases.set('maps are those of qemu-nbd', async (t, qemu) => {
  const uri = await serve(t, qemu, 'top', ...CHAIN)
  for (const context of ['base:allocation', 'qemu:allocation-depth']) {
    const map = [`--map=${context}`, '--json']
    const theirs = ['[', 'qemu-nbd', '--read-only', '-A', '-f', 'qcow2', 'top', ']']
    t.strictSame(
      JSON.parse(await qemu.tool('nbdinfo', [...map, uri])),
      JSON.parse(await qemu.tool('nbdinfo', [...map, '--', ...theirs])),
    )
  }
  const zeroes = (extents: { start: number; length: number; zero: boolean; data: boolean }[]) =>
    extents.map(({ start, length, zero, data }) => ({ start, length, zero, data }))
  const direct = await qemu.img('map', '--output=json', '-f', 'qcow2', 'top')
  const served = await qemu.img('map', '--output=json', '-f', 'raw', uri)
  t.strictSame(joined(zeroes(JSON.parse(served))), joined(zeroes(JSON.parse(direct))))
})

cases.set('nbdcopy and qemu-img copy out and in', async (t, qemu) => {
  const uri = await serve(t, qemu, 'top', ...CHAIN)
  await qemu.tool('nbdcopy', [uri, 'copied'])
  await qemu.tool('cmp', ['expected', 'copied'])
  const compare = ['compare', '-f', 'raw', '-F', 'raw', 'expected']
  t.match(await qemu.img(...compare, uri), /identical/)
  await qemu.convert(uri, 'converted', ['-f', 'raw', '-O', 'qcow2', '-c'])
  t.match(await qemu.img('compare', '-f', 'raw', '-F', 'qcow2', 'expected', 'converted'), /ident/)
  await qemu.tool('truncate', ['--size=8M', 'empty'])
  for (const copy of [
    (target: string) => qemu.tool('nbdcopy', ['--flush', 'expected', target]),
    (target: string) => qemu.convert('expected', target, ['-n', '-f', 'raw', '-O', 'raw']),
  ]) {
    const overlay = ['--format', 'raw', '--overlay', 'memory:16M']
    const target = await serve(t, qemu, 'empty', ...overlay)
    await copy(target)
    t.match(await qemu.img(...compare, target), /identical/)
  }
})

cases.set('qemu-io writes, zeroes, discards and flushes at any byte', async (t, qemu) => {
  const uri = await serve(t, qemu, 'top', ...CHAIN, '--overlay', 'memory:16M')
  await qemu.io(
    uri,
    [
      'write -P 0x41 4k 64k',
      'write -f -P 0x42 5 3',
      'write -z 128k 64k',
      'write -z -u 200001 100001',
      'discard 256k 64k',
      'aio_write -P 0x43 1M 3M',
      'aio_flush',
      'flush',
      'read -P 0x42 5 3',
      'read -P 0x41 4k 64k',
      'read -P 0 128k 64k',
      'read -P 0 200001 120000',
      'read -P 0x43 1M 3M',
    ],
    ['-f', 'raw'],
  )
})

cases.set('fio verifies what it wrote over an overlay', async (t, qemu) => {
  const uri = await serve(t, qemu, 'top', ...CHAIN, '--overlay', 'memory:16M')
  const job = ['--name=verify', '--ioengine=nbd', `--uri=${uri}`, '--size=8M', '--iodepth=32']
  const load = ['--rw=randwrite', '--bsrange=512-128k', '--blockalign=512', '--verify=crc32c']
  const text = await qemu.tool('fio', [...job, ...load, '--verify_fatal=1', '--output-format=json'])
  // Lines of its own may stand before.
  const [{ error, read, write }] = JSON.parse(text.slice(text.indexOf('{'))).jobs
  t.equal(error, 0)
  t.ok(read.total_ios > 0 && write.total_ios > 0)
})

cases.set('nbdsh asks for what no other client does', async (t, qemu) => {
  if (!(await isNewer(qemu))) {
    t.comment('nbdsh of this release knows no extended headers')
    return
  }
  const uri = await serve(t, qemu, 'top', ...CHAIN, '--overlay', 'memory:16M')
  const words = NBDSH.flatMap((line) => ['-c', line])
  const meta = ['--base-allocation', '-c', 'h.add_meta_context("qemu:allocation-depth")']
  t.equal(await qemu.tool('nbdsh', [...meta, '-c', `h.connect_uri("${uri}")`, ...words]), 'done\n')
})

const NBDSH = [
  'assert h.get_extended_headers_negotiated() and h.can_block_status_payload()',
  // 64-bit requests, far beyond the payload of one.
  'assert h.get_size() == 8 << 20',
  'h.zero(8 << 20, 0, nbd.CMD_FLAG_FAST_ZERO)',
  'assert h.pread(8 << 20, 0) == bytearray(8 << 20)',
  'h.pwrite(b"x" * 1000, 4001, nbd.CMD_FLAG_FUA)',
  'assert h.pread(1002, 4000) == b"\\0" + b"x" * 1000 + b"\\0"',
  'h.cache(8 << 20, 0); h.trim(1 << 20, 0); h.flush()',
  'h.pwrite(b"y" * 65536, 1 << 20)',
  'chunks = []',
  'h.pread_structured(1 << 20, 1 << 20, lambda b, o, s, e: chunks.append((o >> 16, len(b), s)))',
  'assert chunks == [(16, 65536, nbd.READ_DATA), (17, 983040, nbd.READ_HOLE)], chunks',
  'chunks = []',
  'h.pread_structured(1 << 20, 1 << 20, lambda b, o, s, e: chunks.append(s), nbd.CMD_FLAG_DF)',
  'assert chunks == [nbd.READ_DATA], chunks',
  'seen = {}',
  'note = lambda name, o, entries, e: seen.update({name: entries})',
  'h.block_status_64(8 << 20, 0, note)',
  'assert seen["base:allocation"] == [(1 << 20, 3), (65536, 0), (7274496 - 65536 + 65536, 3)], seen',
  'assert seen["qemu:allocation-depth"] == [(8 << 20, 1)], seen',
  'seen = {}',
  'h.block_status_filter(8 << 20, 0, ["qemu:allocation-depth"], note)',
  'assert list(seen) == ["qemu:allocation-depth"], seen',
  'seen = {}',
  'h.block_status_64(2 << 20, 0, note, nbd.CMD_FLAG_REQ_ONE)',
  'assert seen["base:allocation"] == [(1 << 20, 3)], seen',
  // What is refused, with libnbd's own checks out of the way.
  'h.set_strict_mode(0)',
  `
def refused(ask, errno):
    try:
        ask()
    except nbd.Error as error:
        assert error.errno == errno, error
    else:
        assert False
`,
  'refused(lambda: h.pread(1, 8 << 20), "EINVAL")',
  'refused(lambda: h.pwrite(b"xx", (8 << 20) - 1), "ENOSPC")',
  'refused(lambda: h.zero(1 << 40, 0), "ENOSPC")',
  'refused(lambda: h.trim(1 << 40, 0), "EINVAL")',
  'no_hole = nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO',
  'refused(lambda: h.zero(4096, 0, no_hole), "ENOTSUP")',
  'h.shutdown()',
  'print("done")',
]

interface ZeroExtent {
  readonly start: number
  readonly length: number
  readonly zero: boolean
  readonly data: boolean
}

/** Neighbours of one kind as one: where layers meet, direct maps have a seam. */
function joined(extents: readonly ZeroExtent[]): ZeroExtent[] {
  const list: ZeroExtent[] = []
  for (const extent of extents) {
    const last = list.at(-1)
    if (last && last.zero === extent.zero && last.data === extent.data)
      list[list.length - 1] = { ...last, length: last.length + extent.length }
    else list.push(extent)
  }
  return list
}

void withEachQemu(t, async (t, qemu) => {
  await makeChain(qemu)
  for (const [name, attempt] of cases) t.test(name, (t) => attempt(t, qemu))
})
