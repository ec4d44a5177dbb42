import type { Architecture } from '../build/node-binary.ts'

/** What differs between the machines that QEMU makes for an architecture. */
interface Platform {
  readonly program: string
  readonly options: readonly string[]
  /** QEMU's own translator, for a machine whose processor is another one. */
  readonly translator: readonly string[]
  /** The first serial port, as Linux names it. */
  readonly console: string
  /** The second one, on the character device `verdict`. */
  readonly verdict: readonly string[]
}

export const PLATFORMS: Readonly<Record<Architecture, Platform>> = {
  x64: {
    program: 'qemu-system-x86_64',
    options: [],
    translator: ['-accel', 'tcg,thread=multi', '-cpu', 'max'],
    console: 'ttyS0',
    verdict: ['-serial', 'chardev:verdict'],
  },
  arm64: {
    program: 'qemu-system-aarch64',
    options: ['-machine', 'virt'],
    // The translator takes several times as long for the pointer authentication of newer ones.
    translator: ['-accel', 'tcg,thread=multi', '-cpu', 'cortex-a72'],
    console: 'ttyAMA0',
    verdict: ['-device', 'pci-serial,chardev=verdict'],
  },
}
