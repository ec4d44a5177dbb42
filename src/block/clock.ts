import { setTimeout } from 'node:timers/promises'

/** Time in milliseconds from some moment on, and pauses: given, so that tests need not wait. */
export interface Clock {
  now(): number
  /** Rejects when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal }),
}
