import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type ArchiveFile, archive } from './archive.ts'
import type { System } from './initramfs-kind.ts'

export interface Check {
  readonly system: System
  /** What comes after the check: the guest powers off, goes on, or restarts. */
  readonly mode: 'check' | 'demo' | 'reboot'
  /** Checksums as sha256sum prints them, or undefined if the files of the image are unknown. */
  readonly manifest: string | undefined
  /** A scenario's own check.sh, whose exit code decides and whose output is the detail; early.sh. */
  readonly scripts: readonly string[]
  /** Other files by path; their directories exist. */
  readonly files: Readonly<Record<string, string>>
}

const GUEST = join(import.meta.dirname, 'guest')
const HARNESS = 'usr/lib/netcow-harness'
/** Where the guest's part is called from: just before the initramfs leaves, and when it gives up. */
const HOOKS: Readonly<Record<System, readonly (readonly [path: string, file: string])[]>> = {
  // Where dracut keeps its hooks: here in older versions, there in newer. The kernel leaves out what
  // has no directory.
  dracut: ['usr/lib/dracut/hooks', 'var/lib/dracut/hooks'].flatMap((hooks) => [
    [`${hooks}/pre-pivot/90-netcow-harness.sh`, 'plant.sh'] as const,
    [`${hooks}/shutdown-emergency/90-netcow-harness.sh`, 'emergency.sh'] as const,
  ]),
  'initramfs-tools': [
    [`${HARNESS}/plant.sh`, 'plant.sh'],
    [`${HARNESS}/emergency.sh`, 'emergency.sh'],
    ['conf/conf.d/netcow-harness', 'initramfs-tools.sh'],
  ],
  // The hook that initramfs-kind.ts adds calls them.
  mkinitcpio: [
    [`${HARNESS}/plant.sh`, 'plant.sh'],
    [`${HARNESS}/emergency.sh`, 'emergency.sh'],
  ],
}

/** What an initramfs needs beside itself for any systemd in any image to check itself. */
export async function checkArchive(check: Check): Promise<Buffer> {
  const { system, mode, manifest, scripts } = check
  const others = Object.entries(check.files).map(([path, text]) => ({
    path,
    content: Buffer.from(text),
  }))
  const from = async (path: string, file: string): Promise<ArchiveFile> => ({
    path,
    content: await readFile(file),
  })
  const files = [
    from(`${HARNESS}/check.sh`, join(GUEST, 'check.sh')),
    from(`${HARNESS}/report.sh`, join(GUEST, 'report.sh')),
    from(`${HARNESS}/netcow-check.service`, join(GUEST, 'netcow-check.service')),
    ...HOOKS[system].map(([path, file]) => from(path, join(GUEST, file))),
  ]
  if (manifest !== undefined) files.push(from(`${HARNESS}/manifest`, manifest))
  for (const script of scripts) {
    files.push(from(`${HARNESS}/scenario.${basename(script)}`, script))
  }
  const modeFile = { path: `${HARNESS}/mode`, content: Buffer.from(mode) }
  return archive([HARNESS], [...(await Promise.all(files)), modeFile, ...others])
}
