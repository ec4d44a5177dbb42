import { createServer } from 'node:net'
import { Align } from '../../src/block/align.ts'
import { MemoryDevice } from '../../src/block/memory.ts'
import { Overlay, SECTOR } from '../../src/block/overlay.ts'
import { Quota } from '../../src/block/quota.ts'
import { NbdServer } from '../../src/nbd/server.ts'

/** What the fuzzed server has. */
export const EXPORT_BYTES = 80 * 2 ** 20
/** Reads as these bytes over and over; behind it is a hole. */
export const CONTENT_BYTES = 2 ** 20
const OVERLAY_BYTES = 8 * 2 ** 20

export interface ServerReport {
  readonly kind: 'ready' | 'error' | 'memory'
  readonly text: string
  readonly peakBytes: number
}

function say(kind: ServerReport['kind'], text = ''): void {
  const report: ServerReport = { kind, text, peakBytes: process.resourceUsage().maxRSS * 1024 }
  process.send?.(report)
}

/** A process of its own: what it takes can be measured, and its end is seen. */
if (process.send !== undefined) {
  const base = new MemoryDevice(EXPORT_BYTES)
  await base.write(new Uint8Array(CONTENT_BYTES).fill(0x5a), 0)
  const exports = [
    { access: 'read-only', source: base },
    {
      access: 'read-write',
      source: new Align(
        new Overlay(base, new MemoryDevice(EXPORT_BYTES, new Quota(OVERLAY_BYTES))),
        SECTOR,
      ),
    },
  ] as const
  const report = (error: unknown) =>
    say('error', error instanceof Error ? (error.stack ?? '') : String(error))
  for (const [index, served] of exports.entries()) {
    const server = createServer({ allowHalfOpen: true })
    const offer = { served, name: '', description: 'for the fuzzer' }
    void new NbdServer(server, offer, { report })
    await new Promise<void>((resolve) => {
      server.listen(`${process.argv[2]}.${index}`, resolve)
    })
  }
  process.on('message', () => say('memory'))
  process.on('disconnect', () => process.exit())
  say('ready')
}
