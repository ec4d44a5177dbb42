import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What dracut reads as the kernel command line, in its order: what was put into the initramfs when it
 * was made (kernel_cmdline= of dracut.conf(5)), what the boot loader said, what hooks have found out.
 * Later words win. The other initramfs systems have none of these files but the kernel's.
 */
const FILES = [
  'etc/cmdline.d/*.conf',
  'etc/cmdline',
  'proc/cmdline',
  'run/initramfs/cmdline.d/*.conf',
]

export function bootCommandLine(root = '/'): string {
  const files = FILES.flatMap((pattern) => globSync(join(root, pattern)).toSorted())
  return files.map((file) => readFileSync(file, 'utf8')).join('\n')
}
