import { parseDeviceFile } from '../cli/device-file.ts'
import { parseOptions } from '../cli/options.ts'
import type { BootWords } from '../cli/words.ts'
import { ROOT_LINK } from './root-link.ts'

/**
 * What the boot scripts of an initramfs are to know, as assignments for them to evaluate: where the
 * root will be, empty if `root=` says it; whether to mount it `ro` or `rw`; whether it needs a network,
 * and for how many seconds that is worth waiting, empty if for ever. Throws `UsageError`.
 */
export function shellVariables(words: BootWords): string {
  const { timeout = '' } = parseOptions(words.options, String)
  return `netcow_root=${words.findsRoot ? ROOT_LINK : ''}
netcow_mode=${words.readOnly ? 'ro' : 'rw'}
netcow_network=${needsNetwork(words) ? 'yes' : ''}
netcow_timeout=${timeout}`
}

/** Whether the image is not on a local disk. */
export function needsNetwork({ image }: BootWords): boolean {
  return image === undefined || parseDeviceFile(image) === undefined
}
