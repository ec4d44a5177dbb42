import * as z from 'zod/mini'

/** What is known of an attached device from the moment of its attach. */
export const DeviceFacts = z.object({
  device: z.string(),
  pid: z.number(),
  image: z.string(),
  sizeBytes: z.number(),
  access: z.enum(['read-only', 'read-write']),
  /** Milliseconds from the start of the machine to the attach, and to the start of this daemon. */
  attachedAtUptimeMs: z.number(),
  daemonSinceUptimeMs: z.number(),
})
export type DeviceFacts = z.infer<typeof DeviceFacts>

/** What a device's daemon says of itself at one moment. */
export const DeviceStatus = z.object({
  ...DeviceFacts.shape,
  nowUptimeMs: z.number(),
  /** Files on servers; `waiting` is absent while they answer. */
  sources: z.array(
    z.object({
      url: z.string(),
      requests: z.number(),
      receivedBytes: z.number(),
      waiting: z.optional(
        z.object({
          reason: z.string(),
          waitedMs: z.number(),
          tries: z.number(),
          reads: z.number(),
        }),
      ),
      servers: z.array(
        z.object({
          url: z.string(),
          state: z.enum(['good', 'failing', 'outside']),
          identity: z.optional(z.string()),
          failure: z.optional(z.string()),
          requests: z.number(),
          receivedBytes: z.number(),
          firstByteMs: z.optional(z.number()),
        }),
      ),
    }),
  ),
  cache: z.object({ limitBytes: z.number(), heldBytes: z.number(), readBytes: z.number() }),
  overlay: z.nullable(
    z.object({
      kind: z.enum(['memory', 'disk']),
      usedBytes: z.number(),
      limitBytes: z.number(),
      waitingWrites: z.number(),
    }),
  ),
  /** Of the daemon: what V8 holds and may hold, what lies outside of its heap, and what is resident if known. */
  memory: z.object({
    heapBytes: z.number(),
    heapLimitBytes: z.number(),
    buffersBytes: z.number(),
    residentBytes: z.nullable(z.number()),
  }),
})
export type DeviceStatus = z.infer<typeof DeviceStatus>
