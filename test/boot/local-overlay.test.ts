import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const run = promisify(execFile)

/** Opens the image on the disk $1, and an overlay on the disk $2; writes where each of them is. */
const WRITES = `
  import { readFileSync, writeFileSync } from 'node:fs'
  import { parseDeviceFile, parseDiskPlace } from '${resolve('src/cli/device-file.ts')}'
  import { LocalImage } from '${resolve('src/boot/local-image.ts')}'
  import { LocalOverlay } from '${resolve('src/boot/local-overlay.ts')}'
  const [image, disk] = process.argv.slice(1)
  const local = await LocalImage.open(parseDeviceFile(image + ':/images/a'), 0, console.error)
  const overlay = await LocalOverlay.open(parseDiskPlace(disk + ':/b'), 0, console.error)
  writeFileSync(overlay.option.replace('file:', ''), 'what was written')
  try { writeFileSync(local.path, '') } catch (error) { console.log(error.code) }
  overlay[Symbol.dispose]()
  console.log(readFileSync(local.path, 'utf8'))
  local[Symbol.dispose]()
  console.log(readFileSync('/proc/self/mounts', 'utf8').includes('/run/netcow'))
`

async function lacking(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may mount'
  const free = await run('losetup', ['--find']).catch(() => undefined)
  return free === undefined ? 'there is no loop device' : undefined
}

async function loopDevice(t: Test): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'netcow-overlay-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'tree/images'), { recursive: true })
  writeFileSync(join(directory, 'tree/images/a'), 'what the image has')
  const disk = join(directory, 'disk')
  await run('mke2fs', ['-q', '-t', 'ext4', '-d', join(directory, 'tree'), disk, '8m'])
  const { stdout } = await run('losetup', ['--find', '--show', disk])
  const device = stdout.trim()
  t.teardown(() => run('losetup', ['--detach', device]))
  return device
}

t.test('an overlay on a disk', { skip: (await lacking()) ?? false }, async (t) => {
  const [first, second] = [await loopDevice(t), await loopDevice(t)]
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module']

  for (const [name, disk] of [
    ['may lie beside the image', first],
    ['may lie on another one than the image', second],
  ] as const) {
    t.test(name, async (t) => {
      const { stdout } = await run('unshare', ['--mount', ...node, '--eval', WRITES, first, disk])
      t.strictSame(stdout.trim().split('\n'), ['EROFS', 'what the image has', 'false'])
      const { stdout: listed } = await run('debugfs', ['-R', 'cat /b', disk])
      t.equal(listed, 'what was written')
    })
  }
})
