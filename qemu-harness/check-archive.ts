import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type ArchiveFile, archive } from './archive.ts'

export interface Check {
  /** What comes after the check: the guest powers off, goes on, or restarts. */
  readonly mode: 'check' | 'demo' | 'reboot'
  /** Checksums as sha256sum prints them, or undefined if the files of the image are unknown. */
  readonly manifest: string | undefined
  /** A scenario's own check.sh, whose exit code decides and whose output is the detail; early.sh. */
  readonly scripts: readonly string[]
}

const GUEST = join(import.meta.dirname, 'guest')
/** Where dracut keeps its hooks, or, in newer versions, a link to there. */
const HOOKS = 'usr/lib/dracut/hooks'
const HARNESS = 'usr/lib/netcow-harness'

/** What an initramfs needs beside itself for any systemd in any image to check itself. */
export async function checkArchive({ mode, manifest, scripts }: Check): Promise<Buffer> {
  const from = async (path: string, file: string): Promise<ArchiveFile> => ({
    path,
    content: await readFile(file),
  })
  const files = [
    from(`${HARNESS}/check.sh`, join(GUEST, 'check.sh')),
    from(`${HARNESS}/netcow-check.service`, join(GUEST, 'netcow-check.service')),
    from(`${HOOKS}/pre-pivot/90-netcow-harness.sh`, join(GUEST, 'plant.sh')),
    from(`${HOOKS}/shutdown-emergency/90-netcow-harness.sh`, join(GUEST, 'emergency.sh')),
  ]
  if (manifest !== undefined) files.push(from(`${HARNESS}/manifest`, manifest))
  for (const script of scripts) {
    files.push(from(`${HARNESS}/scenario.${basename(script)}`, script))
  }
  const modeFile = { path: `${HARNESS}/mode`, content: Buffer.from(mode) }
  return archive([HARNESS], [...(await Promise.all(files)), modeFile])
}
