import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Architecture } from '../build/node-binary.ts'
import { PLATFORMS } from './platform.ts'

export interface Accelerator {
  readonly name: 'kvm' | 'tcg'
  readonly options: readonly string[]
}

const KVM: Accelerator = { name: 'kvm', options: ['-accel', 'kvm', '-cpu', 'host'] }

/** A guest that runs at all is done in a fraction of this. */
const TRIAL_MS = 5000
const FIRMWARE_BYTES = 1 << 16
/** Where a processor starts: 16 bytes below the end of its address space. */
const RESET_VECTOR = FIRMWARE_BYTES - 16
/** mov dx, 0xf4; mov al, 0x10; out dx, al; hlt */
const EXIT_AT_ONCE = [0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4]
/** isa-debug-exit makes (value << 1) | 1 of what is written to it. */
const EXIT_CODE = (0x10 << 1) | 1

/** What runs guests of an architecture that is not this machine's, or without KVM. */
export function translator(architecture: Architecture): Accelerator {
  return { name: 'tcg', options: PLATFORMS[architecture].translator }
}

/** KVM if it runs a guest of seven bytes to its end, else TCG: /dev/kvm may open and not work. */
export async function accelerator(): Promise<Accelerator> {
  const mayOpen = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
  return mayOpen && (await kvmRuns()) ? KVM : translator('x64')
}

async function kvmRuns(): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'netcow-kvm-'))
  try {
    const firmware = join(directory, 'firmware')
    const bytes = new Uint8Array(FIRMWARE_BYTES)
    bytes.set(EXIT_AT_ONCE, RESET_VECTOR)
    await writeFile(firmware, bytes)
    const child = spawn(
      'qemu-system-x86_64',
      [
        ['-nodefaults', '-no-user-config', '-display', 'none', '-m', '16', '-bios', firmware],
        ['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'],
        KVM.options,
      ].flat(),
      { stdio: 'ignore', timeout: TRIAL_MS, killSignal: 'SIGKILL' },
    )
    const [code] = await once(child, 'exit')
    return code === EXIT_CODE
  } finally {
    await rm(directory, { recursive: true })
  }
}
