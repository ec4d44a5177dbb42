import type { Architecture } from '../build/node-binary.ts'
import type { Accelerator } from './accelerator.ts'
import { PLATFORMS } from './platform.ts'

/** How a machine finds its kernel: given to it, or by the boot ROM of its network card. */
export type Start =
  | {
      readonly kind: 'kernel'
      readonly kernel: string
      readonly initramfs: string
      readonly words: readonly string[]
    }
  | {
      readonly kind: 'network'
      /** The words before QEMU's that take it to where the taps are. */
      readonly enter: readonly string[]
      /** A file for QEMU, unless its own BIOS is meant. */
      readonly firmware?: string
      readonly secondCard: boolean
    }

/** A virtual machine. */
export interface Hardware {
  readonly architecture: Architecture
  readonly accelerator: Accelerator
  readonly start: Start
  readonly memoryMiB: number
  /** A guest that restarts does so; else it ends then. */
  readonly restarts: boolean
  /** Files that it has as disks, in their order: /dev/vda, /dev/vdb, ... */
  readonly disks: readonly string[]
}

/** Where a guest reaches the servers on this machine's loopback. */
export const HOST = '10.0.2.2'

/** The network card, as QMP's set_link names it. */
export const CARD = 'card'
/** The card that leads nowhere: the first that Linux finds, and none that the firmware starts. */
const OTHER_CARD = 'virtio-net-pci,id=other-card,mac=52:54:00:00:00:02,romfile='

const PROCESSORS = 2

/** The descriptors, beside the standard three, that QEMU is started with: connected sockets. */
export const CONTROL_DESCRIPTOR = 3
export const VERDICT_DESCRIPTOR = 4

/** QEMU's command line; a console that is `interactive` has QEMU's own keys, as Ctrl-A X. */
export function qemuCommand(
  { architecture, accelerator, start, memoryMiB, disks, restarts }: Hardware,
  interactive: boolean,
): string[] {
  const platform = PLATFORMS[architecture]
  const console = interactive ? 'stdio,mux=on' : 'stdio'
  return [
    start.kind === 'network' ? start.enter : [],
    platform.program,
    platform.options,
    ['-nodefaults', '-no-user-config', '-display', 'none'],
    restarts ? [] : ['-no-reboot'],
    accelerator.options,
    ['-smp', `${PROCESSORS}`, '-m', `${memoryMiB}`, '-device', 'virtio-rng-pci'],
    ['-chardev', `${console},id=console,signal=off`, '-serial', 'chardev:console'],
    interactive ? ['-mon', 'chardev=console,mode=readline'] : [],
    ['-chardev', `socket,id=verdict,fd=${VERDICT_DESCRIPTOR}`, ...platform.verdict],
    ['-chardev', `socket,id=control,fd=${CONTROL_DESCRIPTOR}`],
    ['-mon', 'chardev=control,mode=control'],
    disks.flatMap((file) => ['-drive', `file=${file},format=raw,if=virtio,cache=unsafe`]),
    startArguments(start),
  ].flat()
}

function startArguments(start: Start): string[] {
  const card = `virtio-net-pci,netdev=network,id=${CARD}`
  switch (start.kind) {
    case 'kernel':
      return [
        ['-kernel', start.kernel, '-initrd', start.initramfs],
        ['-append', start.words.join(' ')],
        ['-netdev', 'user,id=network', '-device', `${card},romfile=`],
      ].flat()
    case 'network':
      return [
        start.firmware === undefined ? [] : ['-bios', start.firmware],
        start.secondCard ? [tap('other'), '-device', `${OTHER_CARD},netdev=other`].flat() : [],
        tap('network', 'pool0'),
        ['-device', `${card},bootindex=1`, '-boot', 'n'],
      ].flat()
  }
}

function tap(id: string, interface_ = `${id}0`): string[] {
  return ['-netdev', `tap,id=${id},ifname=${interface_},script=no,downscript=no`]
}
