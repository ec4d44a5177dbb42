import { join } from 'node:path'
import { build } from '../build/build.ts'
import { type Accelerator, accelerator } from './accelerator.ts'
import { type Cache, userCache } from './cache.ts'
import type { Netcow } from './initramfs.ts'
import { step } from './progress.ts'

/** What every boot of a run shares. */
export interface Workshop {
  readonly cache: Cache
  readonly netcow: Netcow
  readonly accelerator: Accelerator
}

const ROOT = join(import.meta.dirname, '..')

export async function openWorkshop(): Promise<Workshop> {
  const executable = await step('dist/netcow', build)
  const chosen = await accelerator()
  process.stderr.write(`Virtual machines run with ${EXPLAINED[chosen.name]}\n`)
  return {
    cache: userCache(),
    netcow: { executable, sources: ROOT },
    accelerator: chosen,
  }
}

const EXPLAINED = {
  kvm: 'KVM',
  tcg: "QEMU's own translator (TCG), which is slow: KVM does not run a guest here",
}
