import type { Traffic } from '../test/fixtures/range-server.ts'
import type { Observation } from './observation.ts'

/** What came of one boot. */
export interface BootResult {
  readonly name: string
  readonly ok: boolean
  /** Why not, in one line. */
  readonly reason?: string
  /** What the machine itself died of, perhaps at a first try: QEMU, or a guest in which nothing of netcow's had run. */
  readonly breakdown?: string
  /** Since the kernel started; `total` is all the machine's time, with its firmware. */
  readonly seconds: {
    /** What firmware and boot loader took, before the kernel started. */
    readonly loaded?: number
    readonly attached?: number
    readonly multiUser?: number
    /** Of a guest that restarts, after its last kernel started. */
    readonly poweredOff?: number
    /** What the guest waited for longest, where its scenario looks at that. */
    readonly largestWait?: number
    /** From the last of the guest's units to the end of the machine, the last time that it ended. */
    readonly afterLastUnit?: number
    readonly total: number
  }
  /** What the image's server was asked for until multi-user, and in all. */
  readonly toMultiUser?: Traffic
  readonly traffic: Traffic
  readonly imageBytes?: number
  /**
   * Memory of the daemon, behind everything that the guest did: what no file backs, what is resident of
   * its files, and the most that it had resident at once.
   */
  readonly daemonBytes?: { readonly own: number; readonly file?: number; readonly peak: number }
  /**
   * Memory that cannot be taken back after the root was switched to: the files of the initramfs that
   * the daemon has open, its executable above all.
   */
  readonly pinnedBytes?: number
  /** What was written, read back from the device after what was done to it, and the same. */
  readonly comparedBytes?: number
  /** How many times as much netcow did as somebody else, by what was compared. */
  readonly ratios?: Readonly<Record<string, number>>
  /** Set where no processor ran the guest's instructions: times say little, ratios something. */
  readonly emulated?: boolean
  /** The file that has what the console said. */
  readonly log: string
}

const RATIO = 'ratio '
/** Each is a number of bytes, of which a guest may report several. */
const COMPARED = 'compared '

/** The guest's own measures, in the terms of a result. */
export function measured({ verdict: { measures }, toMultiUser }: Observation): Pick<
  BootResult,
  'toMultiUser' | 'daemonBytes' | 'pinnedBytes' | 'comparedBytes' | 'ratios'
> & {
  seconds: Omit<BootResult['seconds'], 'total'>
} {
  const attached = measures.get('attachedSeconds')
  const multiUser = measures.get('multiUserSeconds')
  const largestWait = measures.get('largestWaitSeconds')
  const own = measures.get('daemonRssAnon')
  const file = measures.get('daemonRssFile')
  const pinnedBytes = measures.get('pinned')
  const peak = measures.get('daemonVmHWM')
  const compared = [...measures].filter(([name]) => name.startsWith(COMPARED))
  const ratios = [...measures].filter(([name]) => name.startsWith(RATIO))
  return {
    seconds: {
      ...(attached !== undefined && { attached }),
      ...(multiUser !== undefined && { multiUser }),
      ...(largestWait !== undefined && { largestWait }),
    },
    ...(toMultiUser && { toMultiUser }),
    ...(own !== undefined &&
      peak !== undefined && { daemonBytes: { own, ...(file !== undefined && { file }), peak } }),
    ...(pinnedBytes !== undefined && { pinnedBytes }),
    ...(compared.length > 0 && {
      comparedBytes: compared.reduce((sum, [, bytes]) => sum + bytes, 0),
    }),
    ...(ratios.length > 0 && {
      ratios: Object.fromEntries(ratios.map(([name, ratio]) => [name.slice(RATIO.length), ratio])),
    }),
  }
}
