import type { Waiting } from '../block/retry.ts'

/** How a file on one or several servers is doing just now, as `netcow status` shows it. */
export interface SourceState {
  /** The file as the user named it, as it may be printed. */
  readonly url: string
  readonly sizeBytes: number
  /** Range requests, and bytes of bodies that were taken. */
  readonly requests: number
  readonly receivedBytes: number
  /** Absent while the source answers. */
  readonly waiting?: Waiting
  readonly servers: readonly ServerState[]
}

/** One of the places that have the file: the image's URL first, then its mirrors. */
export interface ServerState {
  readonly url: string
  /** `failing` is tried again later; `outside` is no proven copy, and nothing is read from it. */
  readonly state: 'good' | 'failing' | 'outside'
  /** Which version is read there, as an ETag, a date or a length; absent while `outside`. */
  readonly identity?: string
  /** How often it has failed on end, and the line of the newest failure. */
  readonly failures: number
  readonly failure?: string
  readonly requests: number
  readonly receivedBytes: number
  /** From a request to the first byte of its answer, lately; absent until measured. */
  readonly firstByteMs?: number
}
