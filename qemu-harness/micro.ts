import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { archive, padded } from './archive.ts'
import type { Cache } from './cache.ts'
import { run, runAsRoot } from './command.ts'
import type { BootFiles } from './initramfs.ts'
import { type Tool, microInitramfs, netcowArchive } from './micro-initramfs.ts'
import { step } from './progress.ts'
import type { Suite } from './tree.ts'
import type { Workshop } from './workshop.ts'

/**
 * A guest without a distribution: a kernel, busybox, netcow, and a script. It is there in seconds
 * where a whole system takes a minute, for everything that does not need one.
 */
export interface Micro {
  readonly suite: Suite
  readonly tools: readonly Tool[]
  /** The file of the scenario's script. */
  readonly script: string
}

const GUEST = join(import.meta.dirname, 'guest')
/** Room in the root for what scripts write. */
const IMAGE_BYTES = 512 * (1 << 20)
const IMAGE_UUID = '6e657463-6f77-4d69-a372-6f0000000000'

/** What the guest starts from; `directory` is for files of this boot alone. */
export async function microFiles(
  { suite, tools, script }: Micro,
  { cache, netcow }: Workshop,
  directory: string,
): Promise<BootFiles> {
  const { kernel, initramfs } = await microInitramfs(cache, suite, tools)
  const executable = await netcowArchive(cache, netcow.executable)
  const scripts = await Promise.all(
    [
      { path: 'init', file: join(GUEST, 'micro.sh') },
      { path: 'report.sh', file: join(GUEST, 'report.sh') },
      { path: 'scenario.sh', file: script },
    ].map(async ({ path, file }) => ({ path, content: await readFile(file), mode: 0o755 })),
  )
  const parts = await Promise.all([initramfs, executable].map((file) => readFile(file)))
  const whole = join(directory, 'initramfs')
  await writeFile(whole, Buffer.concat([...parts.map(padded), archive([], scripts)]))
  return { kernel, initramfs: whole }
}

/** A QCOW2 of one ext4 with the files of the guest in it, but for netcow: a root to switch to. */
export async function microImage(cache: Cache, suite: Suite): Promise<string> {
  const { root } = await microInitramfs(cache, suite, [])
  const name = `micro-image-${suite}`
  const inputs = { root: basename(join(root, '..')), IMAGE_BYTES, version: 1 }
  const entry = await cache.entry(name, inputs, (entry) =>
    step(`QCOW2 image ${name}`, async () => {
      await mkdir(entry)
      const raw = join(entry, 'raw')
      await writeFile(raw, '')
      const extended = `lazy_itable_init=0,lazy_journal_init=0,hash_seed=${IMAGE_UUID}`
      const named = ['-U', IMAGE_UUID, '-L', 'micro']
      const make = ['mke2fs', '-q', '-F', '-t', 'ext4', '-E', extended, ...named, '-d', root]
      await runAsRoot([...make, raw, `${IMAGE_BYTES / 1024}k`])
      const format = ['-O', 'qcow2', '-o', 'compression_type=zstd']
      await run(['qemu-img', 'convert', '-c', ...format, raw, join(entry, 'image.qcow2')])
      await rm(raw)
    }),
  )
  return join(entry, 'image.qcow2')
}
