import { writeSync } from 'node:fs'
import * as z from 'zod/mini'

/** What a daemon tells whoever launched it: JSON lines through descriptor 3. */

export const CHANNEL_FD = 3

/** With which a daemon ends that was to go on with a device, if no other one can, either. */
export const IN_VAIN = 6

const Message = z.discriminatedUnion('kind', [
  /** It still waits for something; the line says for what. */
  z.object({ kind: z.literal('waiting'), line: z.string() }),
  z.object({ kind: z.literal('attached'), index: z.number() }),
  z.object({ kind: z.literal('failed'), line: z.string(), exitCode: z.number() }),
])
export type Message = z.infer<typeof Message>

export function tell(message: Message): void {
  try {
    writeSync(CHANNEL_FD, `${JSON.stringify(message)}\n`)
  } catch {
    // Whoever launched us has gone; there is nobody to tell.
  }
}

export function parseMessage(line: string): Message {
  return Message.parse(JSON.parse(line))
}
