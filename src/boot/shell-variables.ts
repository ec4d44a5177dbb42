import type { BootWords } from '../cli/words.ts'
import { ROOT_LINK } from './root-link.ts'

/**
 * What the boot scripts of an initramfs are to know of the root, as assignments for them to
 * evaluate: where it will be, empty if `root=` says it, and whether to mount it `ro` or `rw`.
 */
export function shellVariables({ findsRoot, readOnly }: BootWords): string {
  return `netcow_root=${findsRoot ? ROOT_LINK : ''}
netcow_mode=${readOnly ? 'ro' : 'rw'}`
}
