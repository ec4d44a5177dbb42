import { asRoot, run } from '../../qemu-harness/command.ts'

/** What a client asks for, and how much of it at once. */
export interface Load {
  readonly name: string
  readonly access: 'randread' | 'read' | 'randwrite'
  readonly blockBytes: number
  readonly depth: number
  /** How much of the disk is touched, from its beginning; all of it unless said. */
  readonly within?: number
}

export interface FioResult {
  readonly requestsPerSecond: number
  readonly bytesPerSecond: number
  readonly requests: number
  readonly medianMicroseconds: number
}

/**
 * Runs fio's own NBD client, that of `tree`, against the server on `socket`, which is within it: Debian 12's
 * takes no more than some 20 000 replies of 64 KiB in a second.
 */
export async function fio(
  tree: string,
  socket: string,
  load: Load,
  seconds: number,
): Promise<FioResult> {
  const uri = `nbd+unix:///?socket=${socket.slice(tree.length)}`
  const command = [
    ['chroot', tree, 'fio', '--name=load', '--ioengine=nbd', `--uri=${uri}`],
    [`--rw=${load.access}`, `--bs=${load.blockBytes}`, `--iodepth=${load.depth}`],
    ['--time_based', `--runtime=${seconds * 1000}ms`],
    ['--norandommap', '--randrepeat=0', '--output-format=json'],
    load.within === undefined ? [] : [`--size=${load.within}`],
  ]
  const output = await run(asRoot(command.flat()))
  const { jobs }: FioOutput = JSON.parse(output.slice(output.indexOf('{')))
  const side = jobs[0]?.[load.access === 'randwrite' ? 'write' : 'read']
  if (side === undefined || jobs[0]?.error !== 0) throw new Error(`fio fails: ${output}`)
  return {
    requestsPerSecond: side.iops,
    bytesPerSecond: side.bw_bytes,
    requests: side.total_ios,
    medianMicroseconds: (side.clat_ns.percentile?.['50.000000'] ?? NaN) / 1000,
  }
}

interface FioOutput {
  readonly jobs: readonly { readonly error: number; readonly read: Side; readonly write: Side }[]
}

interface Side {
  readonly iops: number
  readonly bw_bytes: number
  readonly total_ios: number
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> }
}
