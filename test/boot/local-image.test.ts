import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { parseDeviceFile } from '../../src/cli/device-file.ts'
import { LocalImage } from '../../src/boot/local-image.ts'
import { SourceUnavailable } from '../../src/errors.ts'

const run = promisify(execFile)

/** Opens the image named $1, lets go of the disk, and then reads the file. */
const READS = `
  import { openSync, readFileSync, statSync } from 'node:fs'
  import { parseDeviceFile } from '${resolve('src/cli/device-file.ts')}'
  import { LocalImage } from '${resolve('src/boot/local-image.ts')}'
  const local = await LocalImage.open(parseDeviceFile(process.argv[1]), 0, console.error)
  const file = openSync(local.path)
  local[Symbol.dispose]()
  console.log(readFileSync('/proc/self/mounts', 'utf8').includes(local.path.replace(/[^/]*$/, '')))
  console.log(readFileSync(file, 'utf8'))
  try { openSync(local.path) } catch (error) { console.log(error.code) }
  console.log((statSync('/run/netcow').mode & 0o777).toString(8))
`

/** Whoever is not root may look for devices in the directory that is made there. */
const IN_NEW_RUN = 'mount -t tmpfs netcow /run && exec "$@"'

async function lacking(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may mount'
  const free = await run('losetup', ['--find']).catch(() => undefined)
  return free === undefined ? 'there is no loop device' : undefined
}

t.test('an open file outlives the mount', { skip: (await lacking()) ?? false }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'netcow-local-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'tree/images'), { recursive: true })
  writeFileSync(join(directory, 'tree/images/a.qcow2'), 'what the file has')
  const disk = join(directory, 'disk')
  const label = `netcow${process.pid}`
  await run('mke2fs', ['-q', '-t', 'ext4', '-L', label, '-d', join(directory, 'tree'), disk, '8m'])
  const { stdout: device } = await run('losetup', ['--find', '--show', disk])
  t.teardown(() => run('losetup', ['--detach', device.trim()]))

  for (const name of [`LABEL=${label}:/images/a.qcow2`, `${device.trim()}:/images/a.qcow2`]) {
    const node = [process.execPath, '--input-type=module', '--eval', READS, name]
    const { stdout } = await run('unshare', ['--mount', 'sh', '-c', IN_NEW_RUN, 'sh', ...node])
    const others = '755'
    t.strictSame(stdout.trim().split('\n'), ['false', 'what the file has', 'ENOENT', others])
  }
})

t.test('a disk that does not come is waited for no longer than allowed', async (t) => {
  const file = parseDeviceFile('LABEL=no-such-netcow-disk:/a')
  await t.rejects(
    LocalImage.open(file!, 0, () => {}),
    SourceUnavailable,
  )
})
